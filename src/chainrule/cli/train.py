"""``chainrule train``: from a table to a saved model, a score on held-out rows and a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule._version import __version__
from chainrule.cli.sources import check_place, choose_target, hides_bundled, load_source
from chainrule.cli.terminal import Terminal, complain, plain_warnings
from chainrule.errors import ChainruleError, SettingError
from chainrule.tables.settings import TrainingSettings

if TYPE_CHECKING:
    from chainrule.tables import Prepared, Trained

DEFAULT = TrainingSettings()
INTERRUPTED = 130


def option(help: str, *names: str, **more: Any) -> Any:
    """An option of the command line."""
    return typer.Option(*names, help=help, **more)


def train_command(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A table file, or a bundled problem such as digits.")
    ],
    target: Annotated[
        str | None, option("The column to predict; needed unless one is named target, label, class or y.")
    ] = None,
    task: Annotated[str | None, option("classification or regression; else found from the target.")] = None,
    hidden: Annotated[str, option("Widths of the hidden layers; none for no hidden layer.")] = "64,64",
    activation: Annotated[str, option("relu, tanh, logistic, gelu, ...")] = DEFAULT.activation,
    dropout: Annotated[float, option("Probability of dropping a hidden unit.")] = DEFAULT.dropout,
    batch_norm: Annotated[bool, option("Batch normalisation.")] = DEFAULT.batch_norm,
    restarts: Annotated[int, option("Networks to train; the best is kept.")] = DEFAULT.restarts,
    epochs: Annotated[int | None, option("Passes over the rows; else about 4000 steps' worth.")] = None,
    batch_size: Annotated[int, option("Rows in a step.")] = DEFAULT.batch_size,
    lr: Annotated[float, option("First learning rate; it falls to 0 along half a cosine.")] = DEFAULT.lr,
    weight_decay: Annotated[float, option("By which lr times this, weights shrink.")] = DEFAULT.weight_decay,
    penalty: Annotated[float, option("Strength of an L2 penalty on the weights.")] = DEFAULT.penalty,
    label_smoothing: Annotated[
        float, option("Share of a row's label that is spread over all classes.")
    ] = DEFAULT.label_smoothing,
    validation: Annotated[
        float, option("Share of the training rows that choose the best epoch.")
    ] = DEFAULT.validation,
    held_out: Annotated[float, option("Share of the rows that only the score is of.")] = DEFAULT.held_out,
    patience: Annotated[
        int | None, option("Epochs without improvement before stopping; else a quarter of them.")
    ] = None,
    seed: Annotated[int, option("The same seed gives the same model.")] = DEFAULT.seed,
    out: Annotated[Path, option("Where the model is saved.")] = Path("model.safetensors"),
    report: Annotated[Path, option("Where the report is written.")] = Path("report.html"),
    no_report: Annotated[bool, option("Write no report.", "--no-report")] = False,
    checkpoint: Annotated[Path | None, option("Save the run to this file as it goes.")] = None,
    resume: Annotated[bool, option("Go on from the checkpoint.", "--resume")] = False,
    json: Annotated[bool, option("Print the result as JSON, last on standard output.", "--json")] = False,
    quiet: Annotated[bool, option("Print the score only.", "--quiet")] = False,
) -> None:
    """Train a network on a table, score it on rows held out, and save it with a report."""
    terminal = Terminal(json, quiet)
    settings = TrainingSettings(
        task=task,
        hidden=parse_hidden(hidden),
        activation=activation,
        dropout=dropout,
        batch_norm=batch_norm,
        restarts=restarts,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        penalty=penalty,
        label_smoothing=label_smoothing,
        validation=validation,
        held_out=held_out,
        patience=patience,
        seed=seed,
    )
    if resume and checkpoint is None:
        raise SettingError("--resume needs a run to go on from", hint="--checkpoint FILE")
    report_path = None if no_report else report
    check_places(data, out, report_path, checkpoint)
    prepared, name = prepare_source(data, target, settings, terminal)
    trained = run(prepared, name, terminal, checkpoint, resume)
    raise typer.Exit(conclude(trained, out, report_path, terminal))


def parse_hidden(text: str) -> tuple[int, ...]:
    """Hidden widths written as "64,64", or "none"; SettingError for anything else.

    >>> parse_hidden("64, 32"), parse_hidden("none")
    ((64, 32), ())
    """
    if text.strip().lower() == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingError(
            "--hidden lists the widths of the hidden layers", expected="as in 64,64, or none", got=repr(text)
        ) from None


def check_places(data: str, out: Path, report: Path | None, checkpoint: Path | None) -> None:
    """Refuse places to write to before the work begins; SettingError also if two are the same."""
    places = {"--out": out, "--report": report, "--checkpoint": checkpoint}
    seen: dict[Path, str] = {}
    for option_name, path in places.items():
        if path is not None:
            check_place(option_name, path, [data])
            other = seen.setdefault(path.resolve(), option_name)
            if other != option_name:
                raise SettingError(f"{other} and {option_name} name the same file", got=str(path))


def prepare_source(
    data: str, target: str | None, settings: TrainingSettings, terminal: Terminal
) -> tuple[Prepared, str]:
    """Read the table and make it ready for training; say what was found."""
    from dataclasses import replace

    from chainrule.tables import prepare

    if hides_bundled(data):
        terminal.remark(f"the file {data} is read, not the bundled problem of that name")
    source = load_source(data)
    chosen = choose_target(source, target)
    if source.task is not None and chosen == source.target and settings.task is None:
        settings = replace(settings, task=source.task)
    prepared = prepare(source.frame, chosen, settings)
    describe_prepared(prepared, source.name, terminal)
    return prepared, source.name


def describe_prepared(prepared: Prepared, name: str, terminal: Terminal) -> None:
    """Say what was found in the table and what will be trained."""
    split, fitted = prepared.split, prepared.preprocessor
    kind = fitted.target.task
    kind += f" of {len(fitted.target.classes)} classes" if fitted.target.classes else ""
    used = sum(column.kind != "ignored" for column in fitted.columns)
    columns = "1 column" if used == 1 else f"{used} columns"
    terminal.remark(f"{name}: {prepared.frame.height} rows, {fitted.target.name} from {columns}: {kind}")
    terminal.notices(prepared.notices)
    roles = [
        (split.training, "train the network"),
        (split.validation, "choose its best epoch"),
        (split.held_out, "are held out for the score"),
    ]
    terminal.remark(", ".join(f"{len(rows)} rows {role}" for rows, role in roles if rows.size))
    epochs = prepared.settings.epochs_for(len(split.training))
    terminal.remark(f"network {prepared.architecture.describe()}; at most {epochs} epochs")


def run(prepared: Prepared, name: str, terminal: Terminal, checkpoint: Path | None, resume: bool) -> Trained:
    """Train and print the score."""
    from chainrule.tables import train as train_prepared

    with plain_warnings():
        trained = train_prepared(
            prepared,
            name,
            progress=False if terminal.quiet else "auto",
            checkpoint=checkpoint,
            resume=resume,
        )
    facts = trained.model.facts
    terminal.remark(
        f"{facts.epochs} epochs in {trained.history.seconds:.1f} s ({facts.stopped}); "
        f"epoch {facts.best_epoch} is kept"
    )
    if facts.best_epoch:
        terminal.say(trained.score.describe())
    return trained


def conclude(trained: Trained, out: Path, report: Path | None, terminal: Terminal) -> int:
    """Save model and report, print the result, and return the exit status."""
    facts = trained.model.facts
    status = INTERRUPTED if trained.history.interrupted else 0
    written = {"model": False, "report": False}
    if facts.best_epoch == 0:
        complain("no epoch was finished, so nothing is saved")
        status = status or 2
    else:
        written["model"] = attempt(lambda: trained.model.save(out))
        written["report"] = report is not None and attempt(lambda: write_report(trained, out, report))
        wanted = {"model": True, "report": report is not None}
        status = status if written == wanted else 2
    places = {
        "model": str(out) if written["model"] else None,
        "report": str(report) if written["report"] else None,
    }
    for what, place in places.items():
        if place:
            terminal.remark(f"{what + ':':<8}{place}")
    terminal.finish(summary(trained) | places)
    return status


def attempt(save: Callable[[], None]) -> bool:
    """Whether it could be saved; if not, the reason is printed and the command goes on."""
    try:
        save()
    except ChainruleError as error:
        complain(str(error))
        return False
    return True


def write_report(trained: Trained, model_path: Path, path: Path) -> None:
    """Write the HTML report."""
    from chainrule.files import write_atomically
    from chainrule.report import render
    from chainrule.tables.reporting import make_report

    write_atomically(path, render(make_report(trained, str(model_path))).encode())


def summary(trained: Trained) -> dict[str, Any]:
    """The result as plain values, in the order in which they are printed as JSON."""
    facts, history = trained.model.facts, trained.history
    return {
        "task": trained.model.task,
        "data": facts.data,
        "target": trained.model.preprocessor.target.name,
        "metric": facts.metric.lower(),
        "score": facts.score,
        "baseline": facts.baseline,
        "scored_on": facts.scored_on,
        "training_rows": facts.training_rows,
        "validation_rows": facts.validation_rows,
        "held_out_rows": facts.held_out_rows,
        "epochs": facts.epochs,
        "best_epoch": facts.best_epoch,
        "restarts": len(history.replicas),
        "stopped": facts.stopped,
        "interrupted": history.interrupted,
        "seconds": round(history.seconds, 3),
        "settings": facts.settings,
        "notices": list(trained.prepared.notices),
        "version": __version__,
    }
