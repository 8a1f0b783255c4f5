"""Bad input: a message on standard error that says what to do, exit status 2, and nothing written."""

from pathlib import Path

import pytest

from chainrule.cli import main

ROWS = "a,town,price\n" + "".join(f"{i},{'Oslo' if i % 2 else 'Rome'},{i * i}\n" for i in range(30))


@pytest.fixture
def refuse(run):
    """Write a table, run the command on it, and give what is on standard error."""

    def command(table, *arguments):
        Path("t.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
        done = run("train", "t.csv", *arguments)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("chainrule: ")
        assert "Traceback" not in done.err
        assert [path.name for path in Path().iterdir()] == ["t.csv"]
        return done.err

    return command


def test_a_target_that_is_not_there(refuse):
    error = refuse(ROWS, "--target", "prise")
    assert "the table has no column 'prise' to predict" in error
    assert "did you mean 'price'?" in error


def test_no_target_is_said(refuse):
    error = refuse(ROWS)
    assert "which column is to be predicted?" in error
    assert "columns 'a', 'town', 'price'" in error
    assert "--target 'price'" in error


def test_several_columns_are_named_like_a_target(refuse):
    error = refuse(ROWS.replace("a,town,price", "label,town,y", 1))
    assert "which column is to be predicted?" in error
    assert "--target 'label'" in error


def test_an_empty_table(refuse):
    assert "holds no rows" in refuse("a,y\n")
    assert "holds no " in refuse("")


def test_one_class_only(refuse):
    table = "a,y\n" + "".join(f"{i},yes\n" for i in range(30))
    assert "target 'y' has one value only" in refuse(table)


def test_ragged_rows(refuse):
    error = refuse(ROWS + "1,Oslo\n")
    assert "ragged" in error
    assert "line 32 has 2" in error


def test_another_encoding(refuse):
    error = refuse(ROWS.replace("Rome", "Köln").encode("latin-1"), "--target", "price")
    assert "not text in UTF-8" in error
    assert "0xf6" in error
    assert "line 2" in error


def test_text_in_a_numeric_column(refuse):
    error = refuse(ROWS.replace("\n7,", "\nseven,"), "--target", "price")
    assert "column 'a' has text in a numeric column" in error
    assert "row 8 ('seven')" in error


def test_values_that_are_not_finite(refuse):
    error = refuse(ROWS.replace("\n7,", "\ninf,"), "--target", "price")
    assert "column 'a' has values that are not finite" in error
    assert "row 8" in error


def test_a_text_target_for_regression(refuse):
    assert "holds text, which regression cannot predict" in refuse(
        ROWS, "--target", "town", "--task", "regression"
    )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--hidden", "64,x"], "--hidden lists the widths"),
        (["--hidden", "0"], "the width of a hidden layer"),
        (["--activation", "rellu"], "there is no activation 'rellu'"),
        (["--dropout", "1"], "dropout has a value that it cannot have"),
        (["--task", "clustering"], "there is no such task"),
        (["--restarts", "0"], "restarts has a value"),
        (["--epochs", "0"], "epochs has a value"),
        (["--batch-size", "-1"], "batch_size has a value"),
        (["--lr", "nan"], "lr has a value"),
        (["--held-out", "1.5"], "held_out has a value"),
        (["--penalty", "-1"], "penalty has a value"),
        (["--seed", "-1"], "seed has a value"),
        (["--resume"], "--resume needs a run to go on from"),
    ],
)
def test_settings_out_of_range(refuse, arguments, what):
    assert what in refuse(ROWS, "--target", "price", *arguments)


def test_a_file_that_is_not_there(run):
    Path("houses.csv").write_text(ROWS)
    done = run("train", "house.csv")
    assert done.status == 2
    assert "did you mean 'houses.csv'?" in done.err
    done = run("train", "digitz")
    assert done.status == 2
    assert "there is no file and no bundled problem 'digitz'" in done.err
    assert "did you mean 'digits'?" in done.err


def test_a_network_that_diverges_says_so(run):
    done = run("train", "diabetes", "--lr", 1e18, "--weight-decay", 0, "--epochs", 5)
    assert done.status == 2
    assert "diverged" in done.err
    assert "no epoch was finished, so nothing is saved" in done.err
    assert list(Path().iterdir()) == []


def test_control_characters_do_not_reach_the_terminal(run):
    Path("t.csv").write_text(ROWS.replace("town", "to\x1b[31mwn"))
    done = run("train", "t.csv", "--target", "nosuch")
    assert "\x1b" not in done.err
    assert "\\x1b[31m" in done.err


@pytest.mark.parametrize(
    "arguments", [["--nosuch"], ["trian", "digits"], ["train"], ["train", "iris", "--lr", "fast"]]
)
def test_wrong_usage(arguments, capsys):
    assert main(arguments) == 2
    assert "Usage: chainrule" in capsys.readouterr().err


def test_unexpected_errors_keep_their_traceback(run, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("chainrule.cli.train.choose_target", fail)
    with pytest.raises(ZeroDivisionError):
        run("train", "iris")
