"""Texts that chainrule did not write stay text, and short: however they come in, and wherever they come out.

Each place where they come in is a function that gives every text that comes out of there. It is called with a plain
name and with hostile ones, whose outputs may differ in length a little and in nothing that a parser sees.
"""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.survival import markup
from tests.thorough import first_ones

import chainrule as cr
from chainrule import data, nn, tables
from chainrule.cli import main
from chainrule.data.files.text_format import TextFormat
from chainrule.data.tables import read_assuming
from chainrule.errors import ChainruleError
from chainrule.estimators import MLPClassifier
from chainrule.files import load_tensors, save_tensors
from chainrule.foreign_text import HEIGHT, WIDTH
from chainrule.inspect.scene_figure import figure_bytes
from chainrule.report import render
from chainrule.tables.reporting import make_report

PLAIN = "plainname"
LONG = 100_000
SHORT_TEXTS = {
    "escape": "\x1b]0;title\x07\x1b[31mred",
    "c1": "\x9b31mred\x85\x7f",
    "line ends": "one\r\ntwo\nthree\u2028four",
    "direction": "\u202egnp.exe\u2066\u200f",
    "html": "\"'></title></p><img src=x onerror=alert(1)><!--",
    "formula": "$$</math><img src=x onerror=alert(1)>$$ \\end{aligned}",
    "latex": "\\href{javascript:alert(1)}{x}_^~#%&{",
    "markdown": "`code` **bold** [link](javascript:alert(1)) | * _x_",
    "templates": "{0}{evil}%s%(x)s[red]rich[/red]",
    "entities": "]]>&amp;&#60;b>",
    "zeros": "\x00\x01\x02\x08",
}
HOSTILE = {**SHORT_TEXTS, "long": "q" * LONG, "long and all": "".join(SHORT_TEXTS.values()) + "q" * LONG}
Outputs = Iterator[tuple[str, str, str]]  # place, kind (text, html, xml, markdown), text


def texts_of_an_error(place: str, call: Callable[[], object]) -> Outputs:
    """The error that a call raises, in every way in which it is shown."""
    with pytest.raises(ChainruleError) as caught:
        call()
    yield f"str of {place}", "text", str(caught.value)
    yield f"repr of {place}", "text", repr(caught.value)


# Where foreign texts come in


def table(name: str) -> pl.DataFrame:
    """Columns, categories and classes of that name."""
    rng, rows = np.random.default_rng(0), 40
    return pl.DataFrame(
        {
            f"{name}0": rng.normal(size=rows),
            f"{name}1": [f"{name}{'ab'[i % 2]}" for i in range(rows)],
            f"{name}2": [None, *rng.normal(size=rows - 1)],
            f"{name}3": [f"{name}{i}" for i in range(rows)],
            f"{name}4": ["na", *"xy" * (rows // 2)][:rows],
            f"{name}y": [f"{name}{'no' if i % 2 else 'yes'}" for i in range(rows)],
        }
    )


@cache
def trained(name: str) -> tables.Trained:
    """A model of such a table; from a file of that name."""
    settings = tables.TrainingSettings(hidden=(3,), epochs=2)
    return tables.train_table(table(name), f"{name}y", settings, name)


def from_tables(name: str) -> Outputs:
    run = trained(name)
    model = run.model
    yield "repr of a model", "text", repr(model)
    yield "a model in a notebook", "html", model._repr_html_()
    yield "notices of training", "text", "\n".join(run.prepared.notices)
    other = table(name).with_columns(
        pl.Series(f"{name}1", [f"{name}unseen"] * 40), pl.lit(1).alias(f"{name}more")
    )
    yield "notices of predictions", "text", "\n".join(model.predict(other).notices)
    page = render(make_report(run, f"{name[:100]}.safetensors"))
    yield "report", "html", page
    yield "report as XML", "xml", page
    yield "the score in words", "text", run.score.describe()
    predictions = model.predict(other)
    parts = list(model.predict_parts(other))
    things = (
        run,
        run.prepared,
        run.score,
        run.history,
        run.history.replicas[0],
        model.facts,
        model.preprocessor,
    )
    for thing in (*things, predictions, parts[0], *parts[0].notices):
        yield f"repr of {type(thing).__name__}", "text", repr(thing)
    for column in (*model.preprocessor.columns, model.preprocessor.target):
        yield "repr of a column", "text", repr(column)


def from_bad_tables(name: str) -> Outputs:
    model, frame = trained(name).model, table(name)
    yield from texts_of_an_error("a lost column", lambda: model.predict(frame.drop(f"{name}0")))
    yield from texts_of_an_error(
        "an unknown class", lambda: model.score(frame.with_columns(pl.lit(name).alias(f"{name}y")))
    )
    yield from texts_of_an_error("an unknown target", lambda: tables.prepare(frame, name))
    one, several = [*map(str, range(20)), name], [*map(str, range(40)), *(f"{name}{i}" for i in range(5))]
    notices = data.fit_preprocessor(pl.DataFrame({name: one, "y": range(21)}), "y")[1]
    assert any("not numbers" in notice for notice in notices)
    yield "notices of a text among numbers", "text", "\n".join(notices)
    yield from texts_of_an_error(
        "texts among the numbers of a target",
        lambda: data.fit_preprocessor(pl.DataFrame({"x": range(45), name: several}), name, "regression"),
    )
    yield from texts_of_an_error(
        "a column of another type",
        lambda: model.predict(frame.with_columns(pl.Series(f"{name}0", [[name]] * 40))),
    )
    yield from texts_of_an_error(
        "text for regression",
        lambda: tables.prepare(frame, f"{name}y", tables.TrainingSettings(task="regression")),
    )
    yield from texts_of_an_error(
        "one class", lambda: tables.prepare(pl.DataFrame({"x": [1, 2], name: [name, name]}), name)
    )
    yield from texts_of_an_error("a bundled problem", lambda: data.load_bundled(name))


def from_text_files(name: str, folder: Path) -> Outputs:
    """Cells and headers of CSV files, which have no zero bytes."""
    cell, path = name.replace("\x00", ""), folder / "t.csv"
    for place, lines in {
        "a name that comes twice": [[cell, cell], [1, 2]],
        "a title": [[cell, "", ""], ["a", "b", "c"], *[[i, i, i] for i in range(9)]],
        "a total": [["a", "b", "c"], *[[i, i, i] for i in range(9)], [f"Note: {cell}", "", ""]],
    }.items():
        write_lines(path, lines)
        yield place, "text", ", ".join(read_assuming(path, wanted=TextFormat(header=True))[1])
    write_lines(path, [[cell, "b"], *[[i, i] for i in range(9)], [1, 2, cell], [3, 4]])
    yield from texts_of_an_error("a ragged line", lambda: data.read_table(path))


def write_lines(path: Path, lines: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


def from_metadata(name: str, folder: Path) -> Outputs:
    """A model file with that text in one field after the other, its digest right."""
    path = folder / "m.safetensors"
    trained(PLAIN).model.save(path)
    tensors, metadata = load_tensors(path)
    metadata["preprocessor"] = json.loads(metadata["preprocessor"])
    for place in places_in(metadata):
        forged = json.loads(json.dumps(metadata))
        put(forged, place, name)
        forged["preprocessor"] = json.dumps(forged["preprocessor"])
        save_tensors(path, tensors, forged, "model")
        yield from texts_of_a_file(".".join(map(str, place)), path)
    renamed = {f"{name}{i}": tensor for i, tensor in enumerate(tensors.values())}
    metadata["preprocessor"] = json.dumps(metadata["preprocessor"])
    save_tensors(path, renamed, metadata, "model")
    yield from texts_of_a_file("names of tensors", path)
    save_tensors(path, tensors, {name: 1}, "model")
    yield from texts_of_a_file("keys", path)
    save_tensors(path, tensors, metadata, name)
    yield from texts_of_a_file("kind", path)


def texts_of_a_file(place: str, path: Path) -> Outputs:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        main(["inspect", str(path)])
    yield f"inspect, {place}", "text", out.getvalue() + err.getvalue()
    try:
        model = cr.load_model(path)
    except ChainruleError as error:
        yield f"error of {place}", "text", str(error)
    else:
        yield f"repr, {place}", "text", repr(model)
        yield f"notebook, {place}", "html", model._repr_html_()


def places_in(value: object, at: tuple = ()) -> Iterator[tuple]:
    """Every place in nested dicts and lists; of a list the first two."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else list(enumerate(value))[:2]
        if isinstance(value, list)
        else ()
    )
    for key, part in inner:
        yield (*at, key)
        yield from places_in(part, (*at, key))


def put(value, place: tuple, text: str) -> None:
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = text


def from_names_of_tensors(name: str) -> Outputs:
    w, x = cr.tensor([0.5, 1.0], requires_grad=True), cr.tensor([2.0, 3.0])
    loss = ((w * x).sum() - 1.0) ** 2
    names = {f"{name}w": w, f"{name}x": x, f"{name}J": loss}
    found = cr.explain(loss, names=names, paths=[f"{name}w", f"{name}w[1]"])
    yield "str of explain", "text", str(found)
    yield "repr of explain", "text", repr(found)
    yield "markdown of explain", "markdown", found.markdown()
    yield "html of explain", "html", found.html()
    for view in ("nodes", "components", "groups"):
        drawing = cr.draw(loss, names=names, view=view)
        yield f"drawing of {view}", "xml", drawing.svg
        yield f"drawing of {view} in a notebook", "html", drawing._repr_html_()
        yield f"repr of the drawing of {view}", "text", repr(drawing)
    yield from texts_of_an_error("a path", lambda: cr.explain(loss, names=names, paths=name))
    yield from texts_of_an_error("an element", lambda: cr.explain(loss, names=names, paths=f"{name}w[7]"))
    yield from texts_of_an_error("a name in a drawing", lambda: cr.draw(loss, names=names, path=name))
    yield from texts_of_an_error("a step", lambda: found[name])
    yield from texts_of_an_error("names", lambda: cr.explain(loss, names={name: 1}))


def from_neurons(name: str) -> Outputs:
    a, b, c = (f"{name}{i}" for i in "abc")
    net = nn.GraphNetwork([(a, b), (b, c), (a, c)], inputs=[a], outputs=[c], seed=0)
    found = cr.explain(net, [0.5])
    yield "repr of a graph network", "text", repr(net)
    yield "str of its explanation", "text", str(found)
    yield "markdown of its explanation", "markdown", found.markdown()
    yield "html of its explanation", "html", found.html()
    yield "drawing of it", "xml", cr.draw(net, [[0.5]]).svg
    yield from texts_of_an_error("an output", lambda: cr.explain(net, [0.5], output=name))
    yield from texts_of_an_error("an edge", lambda: nn.GraphNetwork([(a, b, c)], inputs=[a], outputs=[b]))
    yield from texts_of_an_error("an input", lambda: nn.GraphNetwork([(a, b)], inputs=[name], outputs=[b]))
    yield from texts_of_an_error("a cycle", lambda: nn.GraphNetwork([(a, b), (b, a)], inputs=[], outputs=[b]))


def from_modules(name: str) -> Outputs:
    """Names of attributes, parameters and classes."""
    kind = type(
        name.replace("\x00", ""), (nn.Module,), {"forward": lambda self, x: vars(self)[f"{name}2"](x)}
    )
    model = kind()
    setattr(model, f"{name}2", nn.Linear(2, 1, seed=0))
    setattr(model, f"{name}p", nn.Parameter([1.0]))
    x = np.ones((4, 2), np.float32)
    yield "repr of a module", "text", repr(model)
    yield "its summary", "text", repr(nn.summary(model, x))
    yield "its summary in a notebook", "html", nn.summary(model, x)._repr_html_()
    for view in ("nodes", "groups"):
        yield f"drawing of its {view}", "xml", cr.draw(model, x, view=view).svg
    yield "diagnosis", "text", str(cr.diagnose(model, (x, x[:, :1]), nn.squared_error))
    yield from texts_of_an_error("its state", lambda: model.load_state_dict({name: x}))
    state = model.state_dict()
    yield from texts_of_an_error(
        "its shapes", lambda: model.load_state_dict({key: np.ones(7) for key in state})
    )


def from_plots(name: str) -> Outputs:
    """Titles; and the pictures are drawn, for which no name may be a formula of matplotlib's."""
    import matplotlib.pyplot as plt

    model = nn.Sequential(nn.Linear(2, 2, seed=0), nn.Tanh())
    setattr(model, f"{name}p", nn.Parameter([1.0, 2.0]))
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    recorder = cr.Recorder((x, x), nn.squared_error)
    cr.fit(
        model,
        (x, x),
        loss=nn.squared_error,
        optimizer=cr.optim.Adam(),
        epochs=2,
        callbacks=[recorder],
        progress=False,
    )
    axes = cr.plot_histograms(recorder, f"{name}p")
    axes.figure.savefig(io.BytesIO(), format="svg")
    yield "title of histograms", "text", axes.get_title()
    plt.close("all")
    yield from texts_of_an_error("what is recorded", lambda: recorder.series(name, name))
    groups = cr.optim.groups({f"{name}p": cr.optim.SGD(0.1), "other": cr.optim.SGD(0.1)})
    yield "repr of groups", "text", repr(groups)
    yield from texts_of_an_error("groups", lambda: groups.attach(nn.Linear(1, 1)))
    yield from texts_of_an_error("what is drawn", lambda: cr.plot_histograms(recorder, name))
    w = cr.tensor([0.5, 1.0], requires_grad=True)
    drawing = cr.draw((w * w).sum(), names={name: w})
    for kind in ("png", "pdf"):
        assert len(figure_bytes(drawing.scene, kind)) > 1000


def from_functions(name: str) -> Outputs:
    def f(x):
        return (x * x).sum()

    f.__name__ = f.__qualname__ = name
    x = np.ones(3, np.float32)
    yield "kernels", "xml", cr.draw(f, x, view="kernels").svg
    yield "nodes", "xml", cr.draw(f, x).svg


def from_frames(name: str) -> Outputs:
    """Names of columns as scikit-learn tells of them, whose messages have their own kinds."""
    frame = pd.DataFrame({f"{name}a": np.arange(20.0), f"{name}b": np.arange(20.0)})
    fitted = MLPClassifier(max_iter=2).fit(frame, np.arange(20) % 2)
    for place, bad in {
        "another name": frame.rename(columns={f"{name}a": "a"}),
        "more names": frame.assign(more=1.0),
        "another order": frame[frame.columns[::-1]],
        "texts": frame.assign(**{f"{name}a": name}),
    }.items():
        with pytest.raises(ValueError) as caught:
            fitted.predict(bad)
        yield place, "text", str(caught.value)
    yield "repr", "text", repr(fitted)


def from_settings(name: str) -> Outputs:
    frame = pl.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    yield from texts_of_an_error("activation", lambda: nn.MLP([1, 2, 1], name))
    yield from texts_of_an_error("task", lambda: tables.TrainingSettings(task=name))
    yield from texts_of_an_error("a number", lambda: cr.optim.SGD(name))
    yield from texts_of_an_error("a list", lambda: cr.optim.SGD([name] * 1000))
    yield from texts_of_an_error("a dict", lambda: cr.optim.SGD({name: name}))
    yield from texts_of_an_error(
        "loss", lambda: cr.fit(nn.Linear(1, 1), (frame["x"], frame["y"]), loss=name, optimizer=name)
    )
    yield from texts_of_an_error(
        "a frame's library", lambda: trained(PLAIN).model.predict(table(PLAIN)).to_frame(name)
    )
    yield from texts_of_an_error("a drawing's name", lambda: cr.draw(nn.Linear(1, 1), view=name))


SOURCES = [
    from_frames,
    from_plots,
    from_tables,
    from_bad_tables,
    from_names_of_tensors,
    from_neurons,
    from_modules,
    from_functions,
    from_settings,
]
IN_FILES = [from_text_files, from_metadata]
COMMAND = "import sys; from chainrule.cli import main; sys.exit(main())"
PARSERS = {"html": markup.of_html, "xml": markup.of_xml, "markdown": markup.of_markdown}


@cache
def plain_outputs(source: Callable[..., Outputs], *place: Path) -> list[tuple[str, str, str]]:
    """What all hostile names are compared with."""
    return list(source(PLAIN, *place))


def check(plain: Iterable[tuple[str, str, str]], hostile: Outputs) -> None:
    """The hostile outputs are as the plain ones, but for the name's own characters."""
    for (place, kind, before), (also, _, after) in zip(plain, hostile, strict=True):
        assert place == also
        steering = {c for c in after if not c.isprintable() and c not in "\n\t\u202f"}
        assert not steering, (place, steering)
        assert "q" * (WIDTH + 1) not in after, place
        room = 6 * WIDTH * (before.count("plain") + 3)
        assert len(after) <= len(before) + room, (place, len(before), len(after))
        if kind in PARSERS:
            assert PARSERS[kind](after) == PARSERS[kind](before), place


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("source", SOURCES)
def test_foreign_texts_stay_text(source, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(plain_outputs(source), source(name))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One for all names, because what is said of a plain one names it."""
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("source", IN_FILES)
def test_foreign_texts_in_files_stay_text(source, name: str, folder) -> None:
    check(plain_outputs(source, folder), source(name, folder))


@pytest.mark.parametrize("encoding", first_ones(["ascii", "cp1252"]))
def test_commands_print_whatever_the_terminal_cannot(encoding: str, tmp_path) -> None:
    """Names in Greek, and a file's name that is no UTF-8, where standard output has another encoding."""
    frame = table("\u03b8\U0001f600")
    path = os.fsencode(tmp_path) + b"/caf\xe9.csv"
    with open(path, "wb") as file:  # noqa: PTH123 - the name is bytes
        file.write(frame.write_csv().encode())
    words = ["train", os.fsdecode(path), "--target", "\u03b8\U0001f600y", "--epochs", "1", "--no-report"]
    words.append("--no-ensemble")  # which would say no more
    for command in (
        words,
        ["inspect", "model.safetensors"],
        ["inspect", "\u03b8.safetensors"],
        ["train", "--help"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stdout + done.stderr, done.stderr.decode(errors="replace")
        assert done.returncode == (2 if "\u03b8.safetensors" in command else 0)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_words_of_a_call_that_do_not_fit(name: str, capsys) -> None:
    """A shell puts names of files where a user has written a star."""
    for words in (
        ["inspect", "m", name],
        [f"--{name}"],
        ["train", f"--{name}"],
        [name],
        ["train", "x", "--seed", name],
    ):
        assert main(words) == 2
        printed = capsys.readouterr()
        assert printed.out + printed.err
        shown = printed.out + printed.err
        assert shown.replace("\n", "").isprintable() and len(shown) < 1500, words[0]


def test_code_to_be_copied_is_whole() -> None:
    """A path of any length that files have is in the report as it is; one that no file has does not swell it."""
    run = trained(PLAIN)
    for length in (100, 1000, 4000):
        path = ("/folder" * 1000)[:length] + ".safetensors"
        assert render(make_report(run, path)).count(path) == 2
    assert len(render(make_report(run, "q" * LONG))) < len(render(make_report(run, "q"))) + 12_000


def test_json_has_names_whole(tmp_path, capsys) -> None:
    name = "q" * LONG
    path = tmp_path / "t.csv"
    path.write_text(table(name).write_csv())
    places = ["--out", tmp_path / "m.safetensors", "--no-report", "--no-ensemble"]
    status = main(list(map(str, ["train", path, "--target", f"{name}y", "--epochs", 1, "--json", *places])))
    printed = capsys.readouterr()
    assert (status, json.loads(printed.out)["target"]) == (0, f"{name}y")
    assert len(printed.err) < HEIGHT * WIDTH
