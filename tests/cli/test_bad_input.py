"""Bad input: a message on standard error that says what to do, exit status 2, and nothing written."""

import json
from pathlib import Path

import pytest

from chainrule.cli import main, options

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
    error = refuse(ROWS + "1,Oslo,3,4\n")
    assert "ragged" in error
    assert "line 32 has 4" in error


def test_an_encoding_that_few_characters_tell(run):
    Path("t.csv").write_bytes(ROWS.replace("Rome", "Москва").encode("cp1251"))
    done = run("train", "t.csv", "--target", "price", "--no-ensemble", "--epochs", "1", "--no-report")
    assert done.status == 0
    assert "cp1251, though mac_cyrillic fits as well" in done.out


def test_another_encoding(refuse):
    assert "is not text in ascii" in refuse(
        ROWS.replace("Rome", "Köln"), "--target", "price", "--encoding", "ascii"
    )
    assert "no such text encoding" in refuse(ROWS, "--target", "price", "--encoding", "cp9")
    assert "one ASCII character" in refuse(ROWS, "--target", "price", "--delimiter", ";;")


@pytest.mark.parametrize("odd", ["seven", "inf", "7 of 9", "2100 - 2850", "#N/A!"])
def test_one_odd_cell_counts_as_missing(run, odd):
    Path("t.csv").write_text(ROWS.replace("\n7,", f"\n{odd},"))
    done = run(
        "train",
        "t.csv",
        "--target",
        "price",
        "--no-ensemble",
        "--epochs",
        "1",
        "--no-report",
        "--quiet",
        "--json",
    )
    assert done.status == 0
    notices = json.loads(done.out.splitlines()[-1])["notices"]
    assert any(f"'a' has cells that are not numbers, such as {odd!r} (row 8) in 1 of" in n for n in notices)


def test_a_text_target_for_regression(refuse):
    assert "holds text, which regression cannot predict" in refuse(
        ROWS, "--target", "town", "--task", "regression"
    )


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
    done = run("train", "diabetes", "--lr", 1e18, "--weight-decay", 0, "--epochs", 5, "--folds", 2)
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
    "arguments", [["--nosuch"], ["trian", "digits"], ["train"], ["predict", "m", "t", "--batch", "3"]]
)
def test_wrong_usage(arguments, capsys):
    assert main(arguments) == 2
    assert "Usage: chainrule" in capsys.readouterr().err


def test_no_words_at_all_and_h_ask_for_help(run):
    helps = [run(), run("-h"), run("--help")]
    assert all((done.status, done.err) == (0, "") for done in helps)
    assert len({done.out for done in helps}) == 1
    assert "Show what is installed, and test it." in helps[0].out and "\\n" not in helps[0].out
    assert run("train", "-h").out == run("train", "--help").out != ""


@pytest.mark.parametrize("name", [n for n, o in options.TRAIN.items() if o.works.replace(".", "").isdigit()])
def test_a_number_that_is_none(run, name):
    Path("c.toml").write_text(f'{options.flag(name)[2:]} = "abc"')
    for given in ([options.flag(name), "abc"], [f"{options.flag(name)}=abc"], ["--config", "c.toml"]):
        done = run("train", "iris", *given)
        _check_said(done, name)


def _check_said(done, name):
    assert (done.status, done.out) == (2, "")
    assert f"{options.flag(name)} cannot be abc\n  expected: " in done.err and " number >" in done.err
    assert f"  try:      {options.flag(name)} {options.TRAIN[name].works}" in done.err


def test_an_option_of_another_command(run):
    assert "No such option: --keep: it is an option of train" in run("predict", "m", "t", "--keep", "x").err
    assert "option of" not in run("predict", "m", "t", "--kept", "x").err
    assert "it is an option of predict" in run("train", "iris", "--escape-formulas").err


def test_unexpected_errors_keep_their_traceback(run, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("chainrule.cli.preparing.choose_target", fail)
    with pytest.raises(ZeroDivisionError):
        run("train", "iris")


def test_suggested_files_are_near_tables_and_can_be_typed(refuse, run):
    Path("data").mkdir()
    for name in ("titanic.csv", "README.md", "tiny.png", "notes.txt"):
        Path("data", name).write_text(ROWS)
    assert "try:      did you mean 'data/titanic.csv'?\n" in run("train", "data/titanc.csv").err
    folder = run("train", "data").err
    assert "'data/titanic.csv'" in folder and "README" not in folder and "png" not in folder
    Path("data/model.safetensors").write_text("")
    assert "did you mean 'data/model.safetensors'?" in run("inspect", "data/modle.safetensors").err


def test_every_kind_of_file_is_suggested():
    from chainrule.data.files.formats import BY_NAME
    from chainrule.data.files.opening import TABLES

    assert set(BY_NAME) <= TABLES


def test_near_names_are_about_as_near_as_the_nearest():
    from chainrule.data.describe import suggest_names

    assert (
        suggest_names("titanc.csv", ["titanic.csv", "tiny.csv", "README.md"]) == "did you mean 'titanic.csv'?"
    )


def test_a_dash_is_no_file_to_write(run, houses):
    for command in (["train", "iris"], ["predict", houses / "houses.safetensors", "t.csv"]):
        done = run(*command, "--out", "-")
        assert done.status == 2 and "try:      --out /dev/stdout" in done.err
    assert list(Path().iterdir()) == []


def test_an_onnx_model_is_not_written_as_text(run, houses):
    done = run("export", houses / "houses.safetensors", "--out", "m.txt")
    assert done.status == 2 and "try:      --out m.onnx" in done.err and list(Path().iterdir()) == []


def test_swapped_files(run, houses):
    done = run("predict", houses / "houses.csv", houses / "houses.safetensors")
    assert done.status == 2 and "chainrule predict MODEL DATA" in done.err and "b'" not in done.err
    done = run("train", houses / "houses.safetensors", "--target", "price")
    assert done.status == 2 and "did you mean chainrule inspect" in done.err


def test_a_delimiter_that_separates_nothing(refuse):
    assert "try:      leave out --delimiter" in refuse(ROWS, "--target", "price", "--delimiter", "semicolon")


def test_the_activations_of_the_error_are_those_of_the_help(run):
    for name in ("zzz", "softmax", "sign", "step"):
        done = run("train", "iris", "--activation", name)
        listed = done.err.split("expected: one of ")[1].splitlines()[0]
        assert done.status == 2 and f": {listed}." in options.TRAIN["activation"].help
