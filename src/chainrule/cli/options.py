"""Every option of the command line: the heading that it stands under, what --help says of it, and a value that works.

``--help`` and the tables of docs/command_line.md are made from these records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainrule.data.features.column_options import COLUMN_TYPES


@dataclass(frozen=True)
class Option:
    """What is said of an option.

    ``theme`` is its heading in ``--help``, ``value`` what its value is called there (nothing for a flag), and
    ``works`` a value that is suggested where another one is refused.
    """

    theme: str
    help: str
    value: str = ""
    works: str = ""
    spelled: str = ""  # where it is not --name


ENCODING = Option(
    "Data",
    "Encoding of a text file, such as cp1251 or mac_roman. UTF-8, UTF-16 and cp1252 are recognised without it.",
    "NAME",
    "cp1252",
)
DELIMITER = Option(
    "Data",
    "What separates the cells of a text file: comma, semicolon, tab, pipe, space, or the character itself. "
    "Found from the file without it.",
    "CHARACTER",
    "semicolon",
)
HEADER = Option(
    "Data",
    "Whether the first line holds the names of the columns. Found from the file without it; columns without names "
    "are called column_1, column_2 and so on.",
    spelled="--header / --no-header",
)
SHEET = Option("Data", "Sheet of a workbook. Without it the one with the most cells.", "NAME")
TYPES = Option(
    "Columns",
    f"What a column holds, if not what it looks like: {', '.join(COLUMN_TYPES)}. May be given again.",
    "COLUMN=TYPE",
    spelled="--type COLUMN=TYPE",
)
IGNORE = Option("Columns", "Leave this column out. May be given again.", "COLUMN")
KEEP = Option("Columns", "Write this column through into predictions. May be given again.", "COLUMN")
MISSING = Option(
    "Columns",
    'What counts as missing besides NA, -, ? and the like, separated by commas, as in "-999,Unknown": in all '
    "columns but the target, or in one alone, as in age=0. May be given again.",
    "TEXTS",
)
DECIMAL = Option(
    "Columns", "Decimal mark of numbers in text: . or , (a comma). Found from the cells without it.", "MARK"
)
DAY_FIRST = Option(
    "Columns",
    "Whether dates such as 05/01/2020 begin with the day. Found from the cells without it.",
    spelled="--day-first / --month-first",
)
CONFIG = Option("Data", "Take options from a TOML file, in which epochs = 50 stands for --epochs 50.", "FILE")
JSON = Option("Output", "Print the result as one JSON object, the last line of standard output.")

TRAIN: dict[str, Option] = {
    "target": Option(
        "Data",
        "Column to predict, by name or number. Needed unless exactly one column is called target, label, class or y.",
        "COLUMN",
        "price",
    ),
    "task": Option(
        "Data",
        "classification or regression. Without it the target decides: text and few distinct integers are classes, "
        "other numbers a regression.",
        "TASK",
        "regression",
    ),
    "encoding": ENCODING,
    "delimiter": DELIMITER,
    "header": HEADER,
    "sheet": SHEET,
    "config": CONFIG,
    "types": TYPES,
    "ignore": IGNORE,
    "keep": KEEP,
    "missing": MISSING,
    "decimal": DECIMAL,
    "day_first": DAY_FIRST,
    "held_out": Option(
        "Rows",
        "Fraction of the rows that no network trains on; the score is then of them. Without it every row trains, and "
        "is judged by a network that has not seen it; a single network holds out 0.2.",
        "FRACTION",
        "0.2",
    ),
    "validation": Option(
        "Rows",
        "Of a single network: fraction of the other rows that choose the best epoch and the best restart instead of "
        "training, 0.15 without it.",
        "FRACTION",
        "0.15",
    ),
    "seed": Option(
        "Rows",
        "Seed of the split, the initial weights and the order of the rows. The same seed gives the same model.",
        "N",
        "0",
    ),
    "group": Option(
        "Rows",
        "Rows with the same value of this column, such as all visits of a patient, are never trained on and judged "
        "with at once. It is not used to predict, unless --type gives it a type.",
        "COLUMN",
        "patient",
    ),
    "time_order": Option(
        "Rows",
        "The latest rows by this column, the last fifth or --held-out, judge; those before them train. Rows of one "
        "time stay together, rows without a time are left out.",
        "COLUMN",
        "date",
        spelled="--time COLUMN",
    ),
    "sample_weight": Option(
        "Rows",
        "How much each row counts, in training and in the score: a column of numbers from 0 on. It is not used to "
        "predict, and new rows do not need it.",
        "COLUMN",
        "weight",
    ),
    "class_weight": Option(
        "Rows",
        "balanced: all classes count alike in training, however rare they are. Probabilities are still of classes as "
        "frequent as they are; the predicted class is the one whose probability is largest beside its frequency.",
        "NAME",
        "balanced",
    ),
    "aim": Option(
        "Rows",
        "What classes are judged by: accuracy, balanced-accuracy, f1 (the mean over the classes), log-loss or auc. For "
        "the first three the class is predicted that is best for it by rows that training did not see: of two classes "
        "by a threshold.",
        "AIM",
        "f1",
    ),
    "hidden": Option(
        "Network",
        "Widths of the hidden layers, separated by commas; none for a linear model.",
        "WIDTHS",
        "64,64",
    ),
    "activation": Option(
        "Network",
        "Activation function of the hidden layers: relu, tanh, logistic, gelu, silu, elu, leaky_relu, softplus.",
        "NAME",
        "relu",
    ),
    "dropout": Option(
        "Network",
        "Probability that a hidden unit is set to 0 in a training step.",
        "PROBABILITY",
        "0.1",
    ),
    "batch_norm": Option(
        "Network",
        "Normalise every hidden layer over each minibatch.",
        spelled="--batch-norm / --no-batch-norm",
    ),
    "scaling": Option(
        "Network",
        "How numbers are scaled: standard (mean and standard deviation), or robust (median and quartiles, with values "
        "far out clipped).",
        "NAME",
        "robust",
    ),
    "embedding": Option(
        "Network",
        "What joins each number, so that a network can follow jumps: none, periodic (a vector of cosines), bins (how "
        "far the number is into each of 24 bins), or mixed (networks of three kinds, which answer together).",
        "NAME",
        "mixed",
    ),
    "epochs": Option(
        "Training",
        "Passes over the training rows, at most. Without it they follow from the number of rows.",
        "N",
        "100",
    ),
    "batch_size": Option("Training", "Rows of a minibatch, that is, of one training step.", "N", "64"),
    "lr": Option("Training", "Initial learning rate, which falls to 0 along half a cosine.", "RATE", "0.01"),
    "weight_decay": Option(
        "Training",
        "Weight decay of AdamW: each step multiplies the weights by 1 - learning rate * this number.",
        "NUMBER",
        "0.3",
    ),
    "penalty": Option(
        "Training",
        "L2 penalty: this number times the sum of the squared weights is added to the loss.",
        "NUMBER",
        "0.0001",
    ),
    "label_smoothing": Option(
        "Training",
        "Fraction of a label's probability that is spread evenly over all classes.",
        "FRACTION",
        "0.05",
    ),
    "patience": Option(
        "Training",
        "Stop after this many epochs without a lower validation loss. Without it a third of the epochs, at least 10; a "
        "quarter for a single network.",
        "N",
        "50",
    ),
    "restarts": Option(
        "Training",
        "How often the rows are dealt into folds. Of a single network: how many are trained from different initial "
        "weights, of which the one with the lowest validation loss is kept.",
        "N",
        "8",
    ),
    "ensemble": Option(
        "Training",
        "Train a network for every fold of the rows, on all other rows, and have them answer together; or train a "
        "single network, which is faster and smaller.",
        spelled="--ensemble / --no-ensemble",
    ),
    "distil": Option(
        "Training",
        "Save one small network (hidden layers 64,64) that imitates the ensemble, scored beside it by rows that "
        "trained neither: a fifth, without --held-out.",
    ),
    "folds": Option("Training", "Parts into which an ensemble deals the rows, 8 without it.", "N", "8"),
    "cv": Option(
        "Training",
        "Folds and how often the rows are dealt out, in one word: 5x2 is --folds 5 --restarts 2.",
        "FOLDSxREPEATS",
        "5x2",
    ),
    "budget": Option(
        "Training",
        "Seconds that training may take: as many epochs as they allow, and where more are allowed than usual, the rows "
        "are dealt into folds again and again. How much that is depends on the machine; a notice says it.",
        "SECONDS",
        "60",
    ),
    "checkpoint": Option("Training", "Save the run to this file as it goes.", "FILE"),
    "resume": Option("Training", "Continue the run that is saved in the checkpoint."),
    "out": Option("Output", "File that the model is saved to.", "FILE", "model.safetensors"),
    "report": Option("Output", "File that the report is written to, as HTML.", "FILE", "report.html"),
    "no_report": Option("Output", "Write no report."),
    "json": JSON,
    "quiet": Option("Output", "Print only the score."),
}
PREDICT: dict[str, Option] = {
    "encoding": ENCODING,
    "delimiter": DELIMITER,
    "header": HEADER,
    "sheet": SHEET,
    "config": CONFIG,
    "out": Option(
        "Output",
        "File that the predictions are written to: .csv, .parquet or .xlsx.",
        "FILE",
        "predictions.csv",
    ),
    "escape_formulas": Option(
        "Output",
        "Put a ' before every class name that a spreadsheet would run as a formula, such as =1+2.",
    ),
    "interval": Option(
        "Output",
        "Also write the ends of an interval that holds the true number with this probability.",
        "PROBABILITY",
        "0.9",
    ),
    "label_sets": Option(
        "Output",
        "Also write which classes a row may be, so that the right one is among them with this probability.",
        "PROBABILITY",
        "0.9",
    ),
    "json": JSON,
}
EXPORT: dict[str, Option] = {
    "out": Option("Output", "File that the ONNX model is written to.", "FILE", "model.onnx"),
    "json": JSON,
}
INSPECT: dict[str, Option] = {"json": JSON}
DOCTOR: dict[str, Option] = {"json": JSON}

COMMANDS: dict[str, Mapping[str, Option]] = {
    "train": TRAIN,
    "predict": PREDICT,
    "inspect": INSPECT,
    "export": EXPORT,
    "doctor": DOCTOR,
}

MODEL = "A model that chainrule train saved."
DATA = (
    "A table: a file (CSV, Parquet, Arrow, Excel, ODS, JSON, ARFF; also compressed, and FILE.zip/INNER), - for "
    "standard input, an address (https://...), a database (sqlite:///FILE.db?table=NAME), or a bundled problem such "
    "as digits."
)


def option(command: str, name: str, *spellings: str, **more: Any) -> Any:
    """A parameter of a command as typer takes it, with what its record says."""
    import typer

    record = COMMANDS[command][name]
    value = record.value or None
    return typer.Option(*spellings, help=record.help, rich_help_panel=record.theme, metavar=value, **more)


def flag(name: str) -> str:
    """How a setting is spelled on the command line.

    >>> flag("batch_size")
    '--batch-size'
    """
    spelled = next((records[name].spelled for records in COMMANDS.values() if name in records), "")
    return spelled.split()[0] if spelled else f"--{name.replace('_', '-')}"


def as_markdown(command: str) -> str:
    """The options of a command as the table in docs/command_line.md.

    >>> print(as_markdown("inspect"))
    | option | what it does |
    |---|---|
    | **Output** | |
    | `--json` | Print the result as one JSON object, the last line of standard output. |
    """
    lines, theme = ["| option | what it does |", "|---|---|"], ""
    for name, record in COMMANDS[command].items():
        if record.theme != theme:
            theme = record.theme
            lines.append(f"| **{theme}** | |")
        spelled = record.spelled or f"{flag(name)} {record.value}".strip()
        lines.append(f"| `{spelled}` | {record.help} |")
    return "\n".join(lines)
