"""The Markdown of ``recipes.py``: what single ingredients are worth, what is gained by averaging, and against whom."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from recipe_effects import (
    Answer,
    Task,
    averaged,
    by_the_rule,
    geometric_mean,
    mean_of,
    mixture,
    tempered,
    weighted,
)
from table_recipe import Folded

FIVE = "five networks, one recipe"
SEED = "chosen, another seed: periodic"
GROUPS = {
    "three recipes": "chosen",
    "three recipes, half the steps": "chosen, half the steps",
    "three recipes, 8 folds, half the steps": "chosen, 8 folds, half the steps",
}
CHOSEN = ("chosen: periodic", "chosen: target bins", "chosen: quantile bins")
#: a table's name, a split, what is to be answered, and the outputs of each recipe
Known = tuple[str, int, Task, dict[str, Folded]]


def losses(task: Task, answer: Answer) -> np.ndarray:
    """Out of fold, and of held-out rows."""
    return np.array([task.loss(answer.out_of_fold, task.y), task.loss(answer.held_out, task.held_out)])


def change(ratios: Iterable[float]) -> str:
    """The geometric mean of ratios, less 1."""
    return f"{geometric_mean(list(ratios)) - 1:+.1%}"


def effects(known: list[Known], names: Mapping[str, str]) -> str:
    """A line for each ingredient: its loss over that of the recipe that it is changed in (``names``)."""
    lines = [
        "| ingredient | tables | out of fold | held out | lower on (of both) |",
        "|---|---|---|---|---|",
    ]
    for name, base in names.items():
        pairs = [
            (task, there[name], there[base]) for _, _, task, there in known if {name, base} <= set(there)
        ]
        if not pairs or name == base:
            continue
        ratios = np.array([losses(t, averaged(t, a)) / losses(t, averaged(t, b)) for t, a, b in pairs])
        lower = int((ratios.prod(1) < 1).sum())
        lines.append(f"| {name} | {len(pairs)} | {change(ratios[:, 0])} | {change(ratios[:, 1])} | {lower} |")
    return "\n".join(lines)


def combined(task: Task, there: Mapping[str, Folded]) -> dict[str, Answer]:
    """Averages, temperatures and mixtures of what is kept of one table and split."""
    members = {name: averaged(task, outputs) for name, outputs in there.items()}
    first = there[CHOSEN[0]]
    one = Folded(first.out_of_fold, first.others[:1])
    found = {"one network": averaged(task, one), FIVE: members[CHOSEN[0]]}
    if task.classes:
        found["five networks, probabilities averaged"] = averaged(task, first, probabilities=True)
        found["five networks, with a temperature"] = tempered(task, members[CHOSEN[0]])[0]
    nearest = members.get("nearest rows")
    for label, start in GROUPS.items():
        names = [name.replace("chosen", start) for name in CHOSEN]
        some = {name: members[name] for name in names if name in members}
        if len(some) < len(CHOSEN):
            continue
        found[f"{label}, equal weights"] = mean_of(some)
        found[f"{label}, greedy weights"] = weighted(some, mixture(task, some))
        found[f"{label}, by the rule"] = by_the_rule(task, some)
        if nearest is not None:
            every = {**some, "nearest rows": nearest}
            found[f"{label} and nearest rows, greedy weights"] = weighted(every, mixture(task, every))
            found[f"{label} and nearest rows, by the rule"] = by_the_rule(task, some, nearest)
    pairs = {"two recipes": (CHOSEN[0], CHOSEN[2]), "two sets of folds": (CHOSEN[0], SEED)}
    for label, names in pairs.items():
        if set(names) <= set(members):
            found[f"{label}, equal weights"] = mean_of({name: members[name] for name in names})
    return found


def combinations(known: list[Known]) -> str:
    """A line for each way to combine networks: its loss over that of the five networks of one recipe."""
    ratios: dict[str, list[np.ndarray]] = {}
    for _, _, task, there in known:
        if set(CHOSEN) <= set(there):
            found = combined(task, there)
            base = losses(task, found[FIVE])
            for name, answer in found.items():
                ratios.setdefault(name, []).append(losses(task, answer) / base)
    lines = ["| answer | tables and splits | out of fold | held out |", "|---|---|---|---|"]
    for name, pairs in ratios.items():
        columns = np.array(pairs).T
        cells = [change(columns[0]), change(columns[1])]
        if name in {"one network", "five networks, probabilities averaged"}:
            cells[0] = ""  # the same outputs out of fold
        lines.append(f"| {name} | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


ANSWERS = (
    FIVE,
    "three recipes, equal weights",
    "three recipes, by the rule",
    "three recipes and nearest rows, by the rule",
    "three recipes, 8 folds, half the steps, by the rule",
    "three recipes, 8 folds, half the steps and nearest rows, by the rule",
)


def against(known: list[Known], files: list[Path]) -> str:
    """Each of the answers beside the contestants of ``tables.py``, on the tables and splits that both have."""
    return "\n\n".join(filter(None, (_against(known, files, answer) for answer in ANSWERS)))


def _against(known: list[Known], files: list[Path], answer: str) -> str:
    rows = [r for file in files for r in json.loads(file.read_text())["results"] if "error" in r]
    peers = pd.DataFrame(rows).query("contestant != 'chainrule'")
    there = set(zip(peers.table, peers.split, strict=True))
    ours = []
    for name, split, task, folded in known:
        made = combined(task, folded) if (name, split) in there and set(CHOSEN) <= set(folded) else {}
        if answer in made:
            found = made[answer].held_out
            error = task.error(found, task.held_out)
            loss = task.loss(found, task.held_out) if task.classes else np.nan
            ours.append(
                {"table": name, "split": split, "contestant": answer, "error": error, "log_loss": loss}
            )
    if not ours:
        return ""
    pairs = {(row["table"], row["split"]) for row in ours}
    both = [r for r in peers.to_dict("records") if (r["table"], r["split"]) in pairs]
    frame = pd.concat([pd.DataFrame(both), pd.DataFrame(ours)])
    parts = []
    for figure in ("error", "log_loss"):
        means = frame.pivot_table(index="table", columns="contestant", values=figure).dropna()
        means.loc["mean rank"] = means.rank(axis=1).mean()
        means.loc["geometric mean over the best other"] = [
            geometric_mean(list(means[name].iloc[:-1] / means.drop(columns=name).iloc[:-1].min(axis=1)))
            for name in means
        ]
        head = f"| {figure} | {' | '.join(means.columns)} |\n|{'---|' * (means.shape[1] + 1)}"
        body = [f"| {name} | {' | '.join(f'{v:.4f}' for v in row)} |" for name, row in means.iterrows()]
        parts.append("\n".join([head, *body]))
    return "\n\n".join(parts)
