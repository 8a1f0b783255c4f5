"""What the command line says about columns: types, missing texts, marks, kept columns, and a file of options."""

import json
from pathlib import Path

import polars as pl
import pytest

TABLE = "id;zip;price;when;note\n" + "".join(
    f"{i + 100};0{1000 + i % 3};{i % 7}.{i % 10}00,5;0{1 + i % 9}/0{1 + i % 3}/2020;{'-999' if i % 6 == 0 else i % 5}\n"
    for i in range(60)
)
SAID = ("--no-ensemble", "--epochs", "1", "--no-report", "--json")


@pytest.fixture
def trained(run):
    def train(*arguments):
        Path("t.csv").write_text(TABLE)
        done = run("train", "t.csv", "--target", "price", *arguments, *SAID)
        assert done.status == 0, done.err
        return json.loads(done.out.splitlines()[-1])["notices"]

    return train


def columns_of(path="model.safetensors"):
    import chainrule as cr

    return {column.name: column for column in cr.load_model(path).preprocessor.columns}


def test_what_is_found_is_said_with_the_option_that_overrules_it(trained):
    notices = "\n".join(trained())
    assert "'price' is read as numbers with a decimal comma" in notices
    assert "'when': dates have the day first, as where numbers have a decimal comma; else --" in notices
    assert "'note' is -999 in 8 of" in notices or (
        "'note' is -999 in" in notices and "--missing=-999" in notices
    )
    assert "'id' is ignored: it counts the rows; --type id=number" in notices


def test_types_marks_and_kept_columns(trained, run):
    notices = trained(
        "--type", "id=number", "--type", "zip=text", "--missing=-999", "--day-first", "--keep", "id"
    )
    columns = columns_of()
    assert {name: column.kind for name, column in columns.items()} == {
        **{"id": "numeric", "zip": "categorical", "when": "time", "note": "numeric"}
    }
    assert columns["note"].low == 0 and columns["when"].reading.day_first == "day"
    assert not any("-999" in notice for notice in notices)
    assert run("predict", "model.safetensors", "t.csv").status == 0
    predicted = pl.read_csv("predictions.csv")
    assert predicted.columns == ["id", "prediction"] and predicted["id"].to_list() == list(range(100, 160))


def test_ignored_columns_and_the_decimal_mark(trained):
    trained("--ignore", "note", "--ignore", "when", "--decimal", ",", "--type", "id=number")
    kinds = {name: column.kind for name, column in columns_of().items()}
    assert kinds["note"] == kinds["when"] == "ignored" and kinds["id"] == "numeric"


def test_options_from_a_file(trained, run):
    Path("c.toml").write_text(
        'hidden = [4, 4]\nseed = 3\nmissing = "-999"\nkeep = ["id"]\n[type]\nzip = "text"\n'
    )
    trained("--config", "c.toml", "--seed", "5")
    import chainrule as cr

    model = cr.load_model("model.safetensors")
    assert model.facts.settings["hidden"] == "4,4" and model.facts.settings["seed"] == 5
    assert model.preprocessor.keep == ("id",) and columns_of()["zip"].kind == "categorical"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--type", "zip"), "COLUMN=TYPE"),
        (("--type", "zip=texts"), "did you mean 'text'?"),
        (("--type", "zap=text"), "did you mean 'zip'?"),
        (("--ignore", "notes"), "did you mean 'note'?"),
        (("--keep", "ids"), "did you mean 'id'?"),
        (("--ignore", "price"), "the target cannot be left out"),
        (("--type", "price=id"), "the target cannot be left out"),
        (("--decimal", ";"), "a point or a comma"),
        (("--config", "none.toml"), "--config cannot be read"),
        (("--config", "odd.toml"), "did you mean 'hidden'?"),
        (("--config", "broken.toml"), "--config cannot be read"),
    ],
)
def test_what_cannot_be_is_said(run, arguments, said):
    Path("t.csv").write_text(TABLE)
    Path("odd.toml").write_text("hiden = 3\n")
    Path("broken.toml").write_text("hidden = \n")
    done = run("train", "t.csv", "--target", "price", *arguments, *SAID)
    assert done.status == 2 and said in done.err, done.err


MARKED = "size,town,on,y\n" + "".join(
    f"{0 if i % 9 == 0 else i % 7 + 1},{'none yet' if i % 5 == 0 else 'Rome' if i % 2 else 'Oslo'},"
    f"{'true' if i % 3 else 'false'},{i % 2}\n"
    for i in range(90)
)


@pytest.mark.parametrize(
    ("given", "gaps", "said"),
    [
        (["--missing", "0"], {"size"}, ["target 'y' has '0', which means missing in other columns only"]),
        (["--missing", "size=0"], {"size"}, []),
        (["--missing", "none yet,0"], {"size", "town"}, ["target 'y' has '0'"]),
        (["--missing", "town=none yet", "--missing", "size=0"], {"size", "town"}, []),
        (["--missing", "town=none yet,Rome"], {"town"}, []),
        (["--missing", "town=0"], set(), ["'0', said to mean missing, is in no cell of column 'town'"]),
        (["--missing=-999"], set(), ["'-999', said to mean missing, is in no cell"]),
        (["--missing", "NA"], set(), []),
    ],
)
def test_what_counts_as_missing_and_where(run, given, gaps, said):
    import chainrule as cr

    Path("t.csv").write_text(MARKED)
    done = run("train", "t.csv", *given, *SAID)
    assert done.status == 0, done.err
    notices = done.result["notices"]
    assert {n.split("'")[1] for n in notices if " has no value in " in n} == gaps
    marks = [n for n in notices if "mean" in n]
    assert len(marks) == len(said) and all(s in n for s, n in zip(said, marks, strict=True))
    assert cr.load_model("model.safetensors").classes == ("0", "1")


def test_marks_of_the_target_itself(run):
    Path("t.csv").write_text(MARKED.replace(",1\n", ",2\n", 9))
    done = run("train", "t.csv", "--missing", "y=2", *SAID)
    assert done.status == 0 and any("target 'y' has no value" in notice for notice in done.result["notices"])


def test_marks_of_a_column_that_is_not_there(run):
    Path("t.csv").write_text(MARKED)
    done = run("train", "t.csv", "--missing", "sise=0", *SAID)
    assert done.status == 2 and "did you mean 'size'?" in done.err


@pytest.mark.parametrize("kind", ["number", "boolean", "date"])
@pytest.mark.parametrize("column", ["town", "y"])
def test_a_type_that_no_cell_has(run, kind, column):
    Path("t.csv").write_text(
        "size,town,y\n" + "".join(f"{i},T{'ab'[i % 2]},{'no!' if i % 3 else 'ye!'}\n" for i in range(30))
    )
    done = run("train", "t.csv", "--type", f"{column}={kind}", *SAID)
    assert done.status == 2 and "in Python" not in done.err
    noun = {"number": "a number", "boolean": "true or false", "date": "a date"}[kind]
    cell = "Ta" if column == "town" else "ye!"
    assert f"--type {column}={kind}: none of 30 cells is {noun}, such as '{cell}' (row 1)" in done.err


def test_the_target_cannot_be_words(run):
    Path("t.csv").write_text(MARKED)
    done = run("train", "t.csv", "--type", "y=words", *SAID)
    assert done.status == 2 and "the target 'y' cannot be words" in done.err


@pytest.mark.parametrize("given", ["type", "ignore", "keep", "missing"])
def test_errors_about_columns_name_the_option(run, given):
    Path("t.csv").write_text(MARKED)
    value = "sise=text" if given in {"type", "missing"} else "sise"
    done = run("train", "t.csv", f"--{given}", value, *SAID)
    assert done.status == 2 and f"there is no column 'sise' (--{given})" in done.err
    assert "did you mean 'size'?" in done.err


def test_several_columns_with_commas(run):
    Path("t.csv").write_text(MARKED)
    assert "try:      --ignore size --ignore on" in run("train", "t.csv", "--ignore", "size,on", *SAID).err


def test_prediction_takes_the_file_of_options_that_training_had(trained, run):
    Path("c.toml").write_text(
        "epochs = 2\nencoding = 'utf-8'\nno-report = true\nbatch_size = 8\n[type]\nzip = 'text'\n"
    )
    trained("--config", "c.toml")
    assert run("predict", "model.safetensors", "t.csv", "--config", "c.toml").status == 0
    Path("c2.toml").write_text("epocs = 2\n")
    for command in (["predict", "model.safetensors", "t.csv"], ["train", "t.csv"]):
        done = run(*command, "--config", "c2.toml")
        assert done.status == 2 and "c2.toml: there is no option 'epocs'" in done.err


def test_the_negative_of_an_option_in_a_file(run):
    Path("c.toml").write_text("no-header = true\ntarget = 'column_2'\n")
    Path("t.csv").write_text("".join(f"{i},{i % 2}\n" for i in range(40)))
    assert run("train", "t.csv", "--config", "c.toml", *SAID).status == 0
    assert set(columns_of()) == {"column_1"}


def test_a_score_on_the_table_of_training_says_so(run, houses):
    done = run("predict", houses / "houses.safetensors", houses / "houses.csv")
    assert "(the model was trained on a table of this name; its out-of-fold score was " in done.out
    Path("new.csv").write_bytes((houses / "houses.csv").read_bytes())
    assert "of this name" not in run("predict", houses / "houses.safetensors", "new.csv").out


def test_an_option_that_only_prediction_has_is_refused_by_training(trained, run):
    Path("c.toml").write_text("escape-formulas = true\n")
    done = run("train", "t.csv", "--config", "c.toml")
    assert done.status == 2
    assert "c.toml: 'escape-formulas' is an option of chainrule predict alone" in done.err
    assert "--escape-formulas after chainrule predict" in done.err
    trained()
    assert run("predict", "model.safetensors", "t.csv", "--config", "c.toml").status == 0


def test_a_delimiter_that_separates_nothing_is_said_by_prediction_too(trained, run):
    trained()
    for command in (["train", "t.csv"], ["predict", "model.safetensors", "t.csv"]):
        done = run(*command, "--delimiter", "pipe")
        assert done.status == 2
        assert "--delimiter pipe separates nothing" in done.err and "leave out --delimiter" in done.err


def test_only_tables_are_suggested(run):
    for name in ("hauses.py", "hause.csv", "houses.md"):
        Path(name).write_text("a\n")
    done = run("train", "houses")
    assert "hause.csv" in done.err and "houses.md" not in done.err and "hauses.py" not in done.err
