"""Options: what --help and the docs say of them, and that messages speak of options, not of Python's arguments."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import chainrule
from chainrule.cli import app, main, options
from chainrule.cli.spelling import as_options
from chainrule.tables import TrainingSettings

ROOT = Path(chainrule.__file__).parent
NAMES = {name for records in options.COMMANDS.values() for name in records}
IN_PYTHON = re.compile(rf"\b({'|'.join(sorted(NAMES))})=")
ROWS = "a,town,price\n" + "".join(f"{i},{'Oslo' if i % 2 else 'Rome'},{i * i}\n" for i in range(30))

BAD = {
    "task": ["clustering"],
    "hidden": ["0", "64,-1", "64,x", "none,3", "1.5"],
    "activation": ["rellu", "sign", "step"],
    "dropout": ["1", "1.5", "-0.1", "nan"],
    "epochs": ["0", "-3"],
    "batch_size": ["0", "-1"],
    "lr": ["0", "-1", "nan", "inf"],
    "weight_decay": ["-1", "nan"],
    "penalty": ["-1", "inf"],
    "label_smoothing": ["1", "-0.5"],
    "validation": ["1", "-0.1", "2"],
    "held_out": ["1", "1.5", "-0.2"],
    "patience": ["0", "-1"],
    "restarts": ["0", "-2"],
    "seed": ["-1"],
    "folds": ["0", "1"],
    "scaling": ["odd"],
    "embedding": ["odd"],
    "group": ["nope"],
    "time_order": ["nope", "town"],
    "sample_weight": ["nope", "town"],
    "class_weight": ["even"],
    "aim": ["f2", "rmse"],
    "budget": ["0", "-1", "nan"],
}
CASES = [(name, value) for name, values in BAD.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_value_that_an_option_cannot_have(run, name, value):
    Path("t.csv").write_text(ROWS)
    done = run("train", "t.csv", "--target", "price", options.flag(name), value)
    assert (done.status, done.out) == (2, "")
    assert options.flag(name) in done.err.splitlines()[0]
    assert "  expected: " in done.err
    assert "  try:      " in done.err
    assert not IN_PYTHON.search(done.err)
    assert [path.name for path in Path().iterdir()] == ["t.csv"]


def test_every_setting_but_a_flag_has_a_bad_value_here_and_one_that_works():
    settings = {name for name in inspect.signature(TrainingSettings).parameters if options.TRAIN[name].value}
    assert settings == set(BAD)
    for name in settings:
        assert options.TRAIN[name].works, name


def test_what_is_said_to_work_does(run):
    Path("t.csv").write_text(ROWS.replace("price", "y"))
    others = {"epochs": "2", "restarts": "2", "embedding": "bins"}  # quicker, and of a single network
    given = [
        word
        for name, record in options.TRAIN.items()
        if record.works
        and record.theme in ("Rows", "Network", "Training")
        and name not in {"folds", "cv", "budget"}  # of an ensemble
        and name
        not in {"group", "time_order", "sample_weight", "aim", "class_weight"}  # of columns and classes
        for word in (options.flag(name), others.get(name, record.works))
    ]
    assert run("train", "t.csv", *given, "--no-ensemble", "--no-report").status == 0


TARGETS = {
    "nearly every row a class": ("y", [f"{i}.5" for i in range(30)], ["--task", "classification"]),
    "text as a regression": ("y", ["a", "b", "c"] * 10, ["--task", "regression"]),
    "one value": ("y", ["a"] * 30, []),
    "an identifier": ("y", [f"n{i}" for i in range(30)], []),
    "no such column": ("x", ["1", "2"] * 15, ["--target", "nosuch"]),
}


@pytest.mark.parametrize("what", TARGETS)
def test_errors_about_the_data_speak_of_options(run, what):
    target, values, more = TARGETS[what]
    lines = [f"{i},{value}" for i, value in enumerate(values)]
    Path("t.csv").write_text("\n".join([f"a,{target}", *lines]))
    done = run("train", "t.csv", *more)
    assert done.status == 2
    assert not IN_PYTHON.search(done.err)
    assert "in Python" not in done.err


def hints():
    """Every hint that is written down in the sources of what the commands call, with X for what is filled in."""
    for path in sorted(path for room in ("data", "tables", "cli") for path in (ROOT / room).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            for word in call.keywords if isinstance(call, ast.Call) else ():
                if word.arg == "hint":
                    parts = [n for n in ast.walk(word.value) if isinstance(n, ast.Constant | ast.JoinedStr)]
                    for part in parts:
                        values = part.values if isinstance(part, ast.JoinedStr) else [part]
                        yield (
                            "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in values),
                            path.name,
                        )


def test_every_hint_can_be_said_in_options():
    found = [text for text, _ in hints()]
    assert sum("task=" in text for text in found) >= 2  # the search finds what it is for
    assert [text for text in map(as_options, found) if IN_PYTHON.search(text)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("use task='regression'", "use --task regression"),
        ("use task=regression, lr=1e-3 or resume=True", "use --task regression, --lr 1e-3 or --resume"),
        ("missing='-,n a'", "--missing='-,n a'"),
        ("delimiter=';'", "--delimiter ';'"),
        ("--encoding cp1251 (in Python: encoding='cp1251'), or x", "--encoding cp1251, or x"),
        ("subtask=3 and a.task=2", "subtask=3 and a.task=2"),
    ],
)
def test_spelling(text, expected):
    assert as_options(text) == expected


# --help


def text_of_help(command, capsys):
    assert main([command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", options.COMMANDS)
def test_help_lists_every_option_under_its_heading(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = text_of_help(command, capsys)
    assert max(map(len, text.splitlines())) <= 80
    places = []
    for name, record in options.COMMANDS[command].items():
        heading, place = text.index(f"\n{record.theme}:\n"), text.index(f"\n  {options.flag(name)}")
        assert heading < place
        places.append(place)
        assert " ".join(record.help.split()[:3]) in " ".join(text.split())
    assert places == sorted(places)


def test_parameters_and_records_are_the_same():
    for command in app.registered_commands:
        taken = set(inspect.signature(command.callback).parameters) - {"data", "model", "context"}
        assert taken == set(options.COMMANDS[command.name]), command.name


def test_the_list_of_commands_is_not_cut_short(capsys):
    main(["--help"])
    assert "..." not in capsys.readouterr().out.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", options.COMMANDS)
def test_the_docs_list_the_options_as_help_does(command):
    page = Path(__file__).parents[2] / "docs" / "command_line.md"
    assert options.as_markdown(command) in page.read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("chainrule tr", "train"),
        ("chainrule train --hel", "--help"),
        ("chainrule train iris --wei", "--weight-decay"),
    ],
)
def test_shells_complete_commands_and_options(words, expected, monkeypatch, capsys):
    monkeypatch.setenv("_CHAINRULE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert main([]) == 0
    assert expected in capsys.readouterr().out.split()
