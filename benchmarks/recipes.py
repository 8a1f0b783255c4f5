"""What each ingredient of a recipe for tables is worth: one changed at a time, all folds, out of fold and held out.

    python benchmarks/recipes.py FOLDER --store STORE                      train and keep what is not kept yet
    python benchmarks/recipes.py FOLDER --store STORE --report             the effects of what is kept
    python benchmarks/recipes.py FOLDER --store STORE --report --beside FILE   FILE: what tables.py --json wrote
    python benchmarks/recipes.py FOLDER --store STORE --only plain width --tables pima,glass --splits 1

STORE keeps, for each table, split and recipe, the networks' outputs, so that averages, temperatures and mixtures can be
compared without training again. The effect of an ingredient is the geometric mean over tables of the loss with it
over that of the recipe without it (``plain``): log loss, or root mean square error.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import table_scores as scores
from recipe_effects import Task
from recipe_report import Known, against, combinations, effects
from table_contestants import Job
from table_recipe import Folded, Recipe, fit_folds
from table_scores import Table

PLAIN = Recipe()
PERIODIC = Recipe(spread=0.6, hidden=(64, 64), weight_decay=0.3)
TARGET_BINS = Recipe(embedding="target bins", hidden=(64, 64), weight_decay=0.3)
QUANTILE_BINS = Recipe(embedding="quantile bins", hidden=(128,), dropout=0.2, weight_decay=0.3)
RECIPES = {
    "plain": PLAIN,
    "numbers: without smooth clipping": replace(PLAIN, numbers="unclipped"),
    "numbers: standardised": replace(PLAIN, numbers="standard"),
    "numbers: normal scores": replace(PLAIN, numbers="normal"),
    "numbers: no missing flags": replace(PLAIN, gaps=False),
    "texts: words": replace(PLAIN, words=True),
    "embedding: none": replace(PLAIN, embedding=""),
    "embedding: periodic, higher frequencies": replace(PLAIN, spread=0.6),
    "embedding: quantile bins": replace(PLAIN, embedding="quantile bins"),
    "embedding: target bins": replace(PLAIN, embedding="target bins"),
    "embedding: target steps": replace(PLAIN, embedding="steps"),
    "width: 64-64": replace(PLAIN, hidden=(64, 64)),
    "width: 256-256": replace(PLAIN, hidden=(256, 256)),
    "width: 128": replace(PLAIN, hidden=(128,)),
    "width: 128-128-128": replace(PLAIN, hidden=(128, 128, 128)),
    "activation: silu": replace(PLAIN, activation="silu"),
    "batch norm": replace(PLAIN, batch_norm=True),
    "dropout: 0": replace(PLAIN, dropout=0.0),
    "dropout: 0.2": replace(PLAIN, dropout=0.2),
    "dropout: 0.35": replace(PLAIN, dropout=0.35),
    "weight decay: 0 (Adam)": replace(PLAIN, optimizer="adam"),
    "weight decay: 0.3": replace(PLAIN, weight_decay=0.3),
    "weight decay: 1": replace(PLAIN, weight_decay=1.0),
    "rate: 2e-3": replace(PLAIN, lr=2e-3),
    "rate: 1e-2": replace(PLAIN, lr=1e-2),
    "rate: constant": replace(PLAIN, cosine=False),
    "minibatch: twice, steps: half": replace(PLAIN, batch=2.0, length=0.5),
    "steps: half": replace(PLAIN, length=0.5),
    "steps: a quarter": replace(PLAIN, length=0.25),
    "steps: twice": replace(PLAIN, length=2.0),
    "label smoothing: 0.05": replace(PLAIN, smoothing=0.05),
    "last epoch, not the best": replace(PLAIN, keep_best=False),
    "target: log": replace(PLAIN, target="log"),
    "folds: 8": replace(PLAIN, folds=8),
    "another seed": replace(PLAIN, seed=1),
    "chosen: periodic": PERIODIC,
    "chosen: target bins": TARGET_BINS,
    "chosen: quantile bins": QUANTILE_BINS,
    "nearest rows": Recipe(embedding="", nearest=12),
    "chosen, half the steps: periodic": replace(PERIODIC, length=0.5),
    "chosen, half the steps: target bins": replace(TARGET_BINS, length=0.5),
    "chosen, half the steps: quantile bins": replace(QUANTILE_BINS, length=0.5),
    "chosen, 8 folds: periodic": replace(PERIODIC, folds=8),
    "chosen, 8 folds, half the steps: periodic": replace(PERIODIC, folds=8, length=0.5),
    "chosen, 8 folds, half the steps: target bins": replace(TARGET_BINS, folds=8, length=0.5),
    "chosen, 8 folds, half the steps: quantile bins": replace(QUANTILE_BINS, folds=8, length=0.5),
    "chosen, no rare levels: periodic": replace(PERIODIC, rarest=10),
    "chosen, no rare levels: target bins": replace(TARGET_BINS, rarest=10),
    "chosen, no rare levels: quantile bins": replace(QUANTILE_BINS, rarest=10),
    "chosen, another seed: periodic": replace(PERIODIC, seed=1),
    "chosen, weight decay 1: periodic": replace(PERIODIC, weight_decay=1.0),
    "chosen, silu: periodic": replace(PERIODIC, activation="silu"),
    "chosen, last epoch: periodic": replace(PERIODIC, keep_best=False),
}


def concerns(name: str, table: Table) -> bool:
    """Whether the ingredient changes anything on this table."""
    if name == "target: log":
        return table.task == "regression" and float(table.y.min()) > 0
    numbers = table.features.select_dtypes("number")
    if name == "numbers: no missing flags":
        return bool(numbers.isna().any(axis=None))
    if name == "texts: words":
        texts = table.features.select_dtypes(exclude="number")
        return bool((texts.nunique() > PLAIN.levels).any())
    if name.startswith("chosen, no rare levels"):
        texts = table.features.select_dtypes(exclude="number")
        return any(texts[column].value_counts().min() < 10 for column in texts)
    return True


def job_of(table: Table, split: int) -> tuple[Job, np.ndarray]:
    """What is given to a recipe, and the target of the rows held out."""
    training, held_out = table.split(split)
    features = table.features.iloc[training].reset_index(drop=True)
    others = table.features.iloc[held_out].reset_index(drop=True)
    return Job(features, table.y[training], others, table.task, 1), table.y[held_out]


def kept(store: Path, table: str, split: int, name: str) -> Path:
    """The file of one recipe's outputs."""
    return store / f"{table}.{split}.{name.replace(' ', '_').replace(':', '')}.npz"


def train(store: Path, table: Table, split: int, name: str) -> None:
    """Train and keep one recipe, with the processors' seconds, unless it is kept."""
    path = kept(store, table.name, split, name)
    if path.exists():
        return
    began = time.process_time()
    found = fit_folds(job_of(table, split)[0], RECIPES[name])
    seconds = time.process_time() - began
    np.savez(path, out_of_fold=found.out_of_fold, others=found.others, seconds=seconds)
    print(f"{table.name} {split} {name}: {seconds:.1f} s", flush=True)


def load(store: Path, table: Table, split: int, name: str) -> Folded | None:
    """What is kept of a recipe."""
    path = kept(store, table.name, split, name)
    if not path.exists():
        return None
    with np.load(path) as file:
        return Folded(file["out_of_fold"], file["others"])


def known(store: Path, tables: list[Table], splits: int) -> list[Known]:
    """Of each table and split what is to be answered, and the outputs that are kept."""
    found = []
    for table in tables:
        for split in range(min(splits, len(table.held_out))):
            job, held_out = job_of(table, split)
            there = {name: load(store, table, split, name) for name in RECIPES}
            folded = {name: outputs for name, outputs in there.items() if outputs is not None}
            if folded:
                found.append((table.name, split, Task.of(job.y, held_out, job.classes), folded))
    return found


def bases() -> dict[str, str]:
    """Of each recipe the one that it is a change of."""
    return {
        name: f"chosen: {name.split(': ')[1]}" if name.startswith("chosen,") else "plain" for name in RECIPES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="of tables; without it chainrule's bundled ones")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--tables", default="")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names of recipes")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="of what is kept; nothing is trained")
    parser.add_argument("--beside", type=Path, nargs="*", help="files that tables.py wrote, for the report")
    given = parser.parse_args()
    given.store.mkdir(exist_ok=True, parents=True)
    wanted = [name for name in given.tables.split(",") if name]
    tables = scores.read_folder(given.folder, wanted) if given.folder else scores.bundled(wanted)
    if given.report:
        outputs = known(given.store, tables, given.splits)
        print(effects(outputs, bases()), combinations(outputs), sep="\n\n")
        if given.beside:
            print("\n" + against(outputs, given.beside))
        return
    names = [n for n in RECIPES if any(part in n for part in given.only)]
    for name in names:
        for table in tables:
            for split in range(min(given.splits, len(table.held_out))):
                if concerns(name, table):
                    train(given.store, table, split, name)


if __name__ == "__main__":
    main()
