"""``chainrule train``: from a table to a saved model, a score on held-out rows and a report."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule._version import __version__
from chainrule.cli import options
from chainrule.cli.columns import columns_from, read_config
from chainrule.cli.cross_validation import with_cv
from chainrule.cli.interrupts import CtrlC, ctrl_c_once
from chainrule.cli.layout import entry
from chainrule.cli.outcome import NOTHING_TOLD, outcome_as_json, show_outcome
from chainrule.cli.preparing import prepare_source
from chainrule.cli.sources import check_place, permissions_from
from chainrule.cli.spelling import as_options, for_command
from chainrule.cli.terminal import IN_THE_REPORT, Terminal, complain, plain_warnings
from chainrule.data.files.text_format import TextFormat
from chainrule.errors import ChainruleError, SettingError
from chainrule.files import is_ours
from chainrule.foreign_text import clipped
from chainrule.tables.budget import describe_plan
from chainrule.tables.decision import describe_decision
from chainrule.tables.distil import check_distil
from chainrule.tables.recipe import Recipe, usual_rate
from chainrule.tables.settings import TrainingSettings

if TYPE_CHECKING:
    from chainrule.tables import Prepared, Trained

INTERRUPTED = 130


def option(name: str, *spellings: str, **more: Any) -> Any:
    """A parameter as typer takes it, with what its record says."""
    return options.option("train", name, *spellings, **more)


def train_command(
    data: Annotated[str, typer.Argument(metavar="DATA", help=options.DATA)],
    target: Annotated[str | None, option("target")] = None,
    task: Annotated[str | None, option("task")] = None,
    encoding: Annotated[str | None, option("encoding")] = None,
    delimiter: Annotated[str | None, option("delimiter")] = None,
    header: Annotated[bool | None, option("header", "--header/--no-header")] = None,
    sheet: Annotated[str | None, option("sheet")] = None,
    config: Annotated[Path | None, option("config", callback=read_config, is_eager=True)] = None,
    types: Annotated[list[str] | None, option("types", "--type")] = None,
    ignore: Annotated[list[str] | None, option("ignore")] = None,
    keep: Annotated[list[str] | None, option("keep")] = None,
    missing: Annotated[list[str] | None, option("missing")] = None,
    decimal: Annotated[str | None, option("decimal")] = None,
    day_first: Annotated[bool | None, option("day_first", "--day-first/--month-first")] = None,
    held_out: Annotated[float | None, option("held_out")] = None,
    validation: Annotated[float | None, option("validation")] = None,
    seed: Annotated[int | None, option("seed")] = None,
    group: Annotated[str | None, option("group")] = None,
    time_order: Annotated[str | None, option("time_order", "--time")] = None,
    sample_weight: Annotated[str | None, option("sample_weight")] = None,
    class_weight: Annotated[str | None, option("class_weight")] = None,
    aim: Annotated[str | None, option("aim")] = None,
    hidden: Annotated[str | None, option("hidden")] = None,
    activation: Annotated[str | None, option("activation")] = None,
    dropout: Annotated[float | None, option("dropout")] = None,
    batch_norm: Annotated[bool | None, option("batch_norm")] = None,
    scaling: Annotated[str | None, option("scaling")] = None,
    embedding: Annotated[str | None, option("embedding")] = None,
    epochs: Annotated[int | None, option("epochs")] = None,
    batch_size: Annotated[int | None, option("batch_size")] = None,
    lr: Annotated[float | None, option("lr")] = None,
    weight_decay: Annotated[float | None, option("weight_decay")] = None,
    penalty: Annotated[float | None, option("penalty")] = None,
    label_smoothing: Annotated[float | None, option("label_smoothing")] = None,
    patience: Annotated[int | None, option("patience")] = None,
    restarts: Annotated[int | None, option("restarts")] = None,
    ensemble: Annotated[bool, option("ensemble", "--ensemble/--no-ensemble")] = True,
    distil: Annotated[bool, option("distil", "--distil")] = False,
    folds: Annotated[int | None, option("folds")] = None,
    cv: Annotated[str | None, option("cv")] = None,
    budget: Annotated[float | None, option("budget")] = None,
    checkpoint: Annotated[Path | None, option("checkpoint")] = None,
    resume: Annotated[bool, option("resume", "--resume")] = False,
    out: Annotated[Path, option("out")] = Path("model.safetensors"),
    report: Annotated[Path, option("report")] = Path("report.html"),
    no_report: Annotated[bool, option("no_report", "--no-report")] = False,
    json: Annotated[bool, option("json", "--json")] = False,
    quiet: Annotated[bool, option("quiet", "--quiet")] = False,
) -> None:
    """Train networks on a table, score them on rows that they have not seen, and save them with a report."""
    report_path = None if no_report else report
    terminal = Terminal(json, quiet, *([IN_THE_REPORT] if report_path else []))
    said = checked_settings(
        task=task,
        hidden=None if hidden is None else parse_hidden(hidden),
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
        folds=folds,
        scaling=scaling,
        embedding=embedding,
        group=group,
        time_order=time_order,
        sample_weight=sample_weight,
        class_weight=class_weight,
        budget=budget,
        aim=aim,
        distil=distil or None,
    )
    asked = asked_for(with_cv(said, cv, ensemble), ensemble)
    if resume and checkpoint is None:
        raise SettingError("--resume needs a run to go on from", hint="--checkpoint FILE")
    check_places(data, out, report_path, checkpoint)
    if checkpoint is not None and resume != checkpoint.exists():
        check_begun(checkpoint, resume, terminal)
    columns = columns_from(types, ignore, missing, decimal, day_first, keep)
    prepared, source = prepare_source(
        data, target, asked, terminal, TextFormat(encoding, delimiter, header, sheet), columns
    )
    mode = permissions_from(data)
    with ctrl_c_once() as ctrl_c:
        trained = run(prepared, source.name, terminal, checkpoint, resume, mode)
        assumed = (*source.assumed, *prepared.preprocessor.assumed)
        status = conclude(trained, out, report_path, terminal, mode, assumed, ctrl_c)
    raise typer.Exit(status)


def asked_for(said: dict[str, Any], ensemble: bool) -> Recipe | TrainingSettings:
    """An ensemble or a single network with these settings; SettingError for those that are of the other one."""
    if ensemble and "validation" in said:
        raise SettingError(
            "--validation is of a single network: those of an ensemble are validated on the rows that they leave out",
            hint="leave it out, or --no-ensemble",
        )
    if not ensemble and "folds" in said:
        raise SettingError(
            "--folds is of an ensemble, and --no-ensemble is said", hint="leave out one of them"
        )
    if not ensemble and "distil" in said:
        raise SettingError(
            "--distil has one network imitate an ensemble, and --no-ensemble is said",
            hint="leave out one of them",
        )
    asked = Recipe(said) if ensemble else TrainingSettings(**said)
    check_distil(asked)
    return asked


def checked_settings(**given: Any) -> dict[str, Any]:
    """The settings that are said; a SettingError names the option that is at fault, and a value that works."""
    said = {name: value for name, value in given.items() if value is not None}
    for name, value in said.items():
        try:
            TrainingSettings(**{name: value})
        except SettingError as error:
            works = f"{options.flag(name)} {options.TRAIN[name].works}"
            got = ",".join(map(str, value)) if isinstance(value, tuple) else value
            _, is_range, limits = error.what.partition(" must be ")
            raise SettingError(
                f"{options.flag(name)} cannot be {clipped(got)}",
                expected=limits if is_range else error.expected,
                hint=works if is_range else error.hint or works,
            ) from None
    return said


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
            f"--hidden cannot be {clipped(text)}",
            expected="the widths of the hidden layers, separated by commas, or none",
            hint=f"--hidden {options.TRAIN['hidden'].works}",
        ) from None


def check_places(data: str, out: Path, report: Path | None, checkpoint: Path | None) -> None:
    """Refuse places to write to before the work begins; SettingError also if two are the same."""
    places = {"--out": out, "--report": report, "--checkpoint": checkpoint}
    seen: dict[Path, str] = {}
    for option_name, path in places.items():
        if path is not None:
            check_place(option_name, path, [data])
            if option_name != "--report" and path.is_file() and path.stat().st_size and not is_ours(path):
                raise SettingError(
                    f"{option_name} names a file that chainrule did not write",
                    got=str(path),
                    hint="name another file, or remove it",
                )
            other = seen.setdefault(path.resolve(), option_name)
            if other != option_name:
                raise SettingError(f"{other} and {option_name} name the same file", got=str(path))


def check_begun(checkpoint: Path, resume: bool, terminal: Terminal) -> None:
    """SettingError where a run would be written over unasked; say where there is none to go on from."""
    if resume:
        terminal.remark(f"there is no {clipped(checkpoint)} to go on from yet: training begins")
        return
    raise SettingError(
        "--checkpoint names a run that is there already",
        got=str(checkpoint),
        hint="--resume to go on with it, or remove the file to begin anew",
    )


def run(
    prepared: Prepared, name: str, terminal: Terminal, checkpoint: Path | None, resume: bool, mode: int
) -> Trained:
    """Train; warnings are printed without the source line that raised them.

    ``mode`` are the permissions of a new checkpoint.
    """
    from chainrule.tables import train as train_prepared
    from chainrule.training import Checkpoint

    settings = prepared.settings
    what, many = ("fold", settings.folds) if settings.ensemble else ("restart", 1)
    with plain_warnings(what, many * settings.restarts, settings.lr, usual_rate(settings)):
        trained = train_prepared(
            prepared,
            name,
            progress=False if terminal.quiet else "auto",
            checkpoint=None
            if checkpoint is None
            else Checkpoint(checkpoint, mode=mode, settings=settings_of(prepared, name)),
            resume=resume,
        )
    if trained.history.interrupted and checkpoint is not None:
        terminal.remark("the same command with --resume goes on from here")
    return trained


def settings_of(prepared: Prepared, name: str) -> dict[str, str]:
    """What the run was asked for, as it is typed: kept in its checkpoint, so that another run can be told from it."""
    listed = prepared.settings.listed().items()
    options_given = {options.flag(key): "automatic" if value is None else str(value) for key, value in listed}
    target = prepared.preprocessor.target.name
    return {"DATA": name, options.flag("target"): target, **options_given}


def conclude(
    trained: Trained,
    out: Path,
    report: Path | None,
    terminal: Terminal,
    mode: int,
    assumed: Sequence[str],
    ctrl_c: CtrlC,
) -> int:
    """Save the model, print the score, write the report, and return the exit status.

    ``mode`` are the permissions of new files. The model comes first, and Ctrl-C does not keep it from being saved,
    only the report from being written.
    """
    history, finished = trained.history, bool(trained.model.facts.best_epoch)
    complete = finished and save_model(trained, out, mode)
    places = {"model": str(out) if complete else None, "report": None}
    told = False
    try:
        with ctrl_c.ends():
            describe_trained(trained, terminal)
            told = finished
            if finished and report is not None:
                written = attempt(lambda: write_report(trained, out, report, mode))
                places["report"] = str(report) if written else None
                complete = complete and written
    except KeyboardInterrupt:
        complain("interrupted" + ("; no report is written" if report is not None else ""))
        history.interrupted = True
    say_places(places, terminal)
    if terminal.json:
        terminal.finish(summary(trained, told, report is not None) | {"assumed": list(assumed)} | places)
    if history.interrupted and (complete or not finished):
        return INTERRUPTED
    return 0 if complete else 2


def say_places(places: Mapping[str, str | None], terminal: Terminal) -> None:
    """Say where model and report are, and what may be typed next."""
    if any(places.values()):
        terminal.blank()
    for what, place in places.items():
        if place:
            terminal.remark(f"{f'{what}:':<8}{place}")
    if places["model"]:
        model = shlex.quote(places["model"])
        terminal.next_steps([f"chainrule predict {model} NEW_ROWS.csv", f"chainrule inspect {model}"])


def save_model(trained: Trained, out: Path, mode: int) -> bool:
    """Whether it could be saved; after Ctrl-C it is saved all the same."""
    try:
        return attempt(lambda: trained.model.save(out, mode=mode))
    except KeyboardInterrupt:
        trained.history.interrupted = True
        return attempt(lambda: trained.model.save(out, mode=mode))


def describe_trained(trained: Trained, terminal: Terminal) -> None:
    """Say how training went, how good the network is, and what was found."""
    facts = trained.model.facts
    if not facts.best_epoch:
        complain("no epoch was finished, so nothing is saved")
        return
    if trained.teacher is not None:
        terminal.remark(entry("ensemble", course_of(trained.teacher)))
        terminal.remark(entry("", f"{trained.teacher.score.describe()}"))
    elif trained.prepared.settings.distil:
        complain("interrupted before one network imitates the ensemble: the ensemble is saved")
    settings = trained.prepared.settings if trained.teacher is None else trained.teacher.prepared.settings
    if settings.budget is not None:
        terminal.remark(entry("budget", as_options(describe_plan(settings))))
    terminal.remark(entry("training", course_of(trained)))
    if facts.decision:
        said = describe_decision(facts.decision, trained.model.classes)
        terminal.remark(entry("decision", f"{said}: the predicted class"))
    if trained.history.not_begun:
        planned = len(trained.history.replicas) + trained.history.not_begun
        what = "restarts" if trained.out_of_fold is None else "folds"
        terminal.remark(f"{trained.history.not_begun} of {planned} {what} were not begun")
    show_outcome(trained, terminal)


def course_of(trained: Trained) -> str:
    """How long training took, and why it ended."""
    facts, history = trained.model.facts, trained.history
    if trained.out_of_fold is None:
        stopped = f"{facts.epochs} epochs in {history.seconds:.1f} s ({clipped(facts.stopped)})"
        return f"{stopped}; epoch {facts.best_epoch} is kept"
    finished = [len(replica.loss) for replica in history.replicas if replica.loss]
    epochs, networks = sorted(set(finished)), len(finished) * len(trained.prepared.architecture.kinds)
    span = f"{epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else f"{epochs[0]}"
    return f"{networks} networks, {span} epochs each, in {history.seconds:.1f} s"


def attempt(save: Callable[[], None]) -> bool:
    """Whether it could be saved; if not, the reason is printed and the command goes on."""
    try:
        save()
    except ChainruleError as error:
        complain(str(for_command(error)))
        return False
    return True


def write_report(trained: Trained, model_path: Path, path: Path, mode: int) -> None:
    """Write the HTML report."""
    from chainrule.files import write_atomically
    from chainrule.report import render
    from chainrule.tables.reporting import make_report

    write_atomically(path, render(make_report(trained, str(model_path))).encode(), mode=mode)


def summary(trained: Trained, told: bool, has_report: bool) -> dict[str, Any]:
    """The result as plain values, in the order in which they are printed as JSON.

    Unless it was ``told`` on the screen, as after Ctrl-C, nothing more is computed of it.
    """
    facts, history = trained.model.facts, trained.history
    return {
        "task": trained.model.task,
        "data": facts.data,
        "target": trained.model.preprocessor.target.name,
        "metric": facts.metric.lower(),
        "score": facts.score,
        "score_low": facts.score_low,
        "score_high": facts.score_high,
        "baseline": facts.baseline,
        **({} if trained.teacher is None else {"ensemble_score": trained.teacher.score.value}),
        "scored_on": facts.scored_on,
        "training_rows": facts.training_rows,
        "validation_rows": facts.validation_rows,
        "held_out_rows": facts.held_out_rows,
        "epochs": facts.epochs,
        "best_epoch": facts.best_epoch,
        "restarts": len(history.replicas)
        if trained.out_of_fold is None
        else trained.prepared.settings.restarts,
        "networks": trained.model.architecture.networks,
        "stopped": facts.stopped,
        "interrupted": history.interrupted,
        "seconds": round(history.seconds, 3),
        "decision": list(facts.decision),
        "settings": facts.settings,
        **(outcome_as_json(trained, has_report) if told else NOTHING_TOLD),
        "notices": list(trained.prepared.notices),
        "version": __version__,
    }
