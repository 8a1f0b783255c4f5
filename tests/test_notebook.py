"""What a notebook shows, as text and in a real kernel."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.notebook import html_table, in_notebook, line_chart
from chainrule.tables import TrainingSettings, train_table


def parsed(thing):
    """Whatever is shown has to be well-formed."""
    return ElementTree.fromstring(thing._repr_html_() if hasattr(thing, "_repr_html_") else thing)


def texts(tree, tag):
    return ["".join(found.itertext()) for found in tree.iter(tag)]


def test_tensors():
    table = parsed(cr.tensor([[1.0, 2.5], [3.0, -4.0]], requires_grad=True))
    assert texts(table, "td") == ["0", "1", "2.5", "1", "3", "-4"]
    assert texts(table, "caption") == ["float32[2, 2], requires_grad"]
    flat = [cr.tensor(1.0), cr.tensor([1, 2]), cr.tensor(np.zeros((0, 3))), cr.tensor(np.zeros((50, 2)))]
    assert [parsed(other).text for other in flat] == [repr(other) for other in flat]


def test_modules():
    assert "in all" in texts(parsed(nn.MLP([2, 3, 1])), "td")
    assert parsed(nn.Sequential(nn.Tanh())).text == repr(nn.Sequential(nn.Tanh()))  # its input is not known


@pytest.mark.parametrize("restarts", [1, 2])
def test_histories(restarts):
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    settings = {"loss": nn.squared_error, "optimizer": optim.Adam(), "epochs": 5, "restarts": restarts}
    history = cr.fit(nn.MLP([1, 2, 1], seed=0), (x, x), validation=(x, x), **settings)
    tree = parsed(history)
    assert texts(tree, "pre") == [repr(history)]
    assert {"epoch", "loss", "training", "validation"} <= set(texts(tree, "text"))


def test_models_of_tables():
    frame = pl.DataFrame({"<a>": np.arange(40.0), "b": ["x & y", "z"] * 20})
    model = train_table(frame, "b", TrainingSettings(hidden=(3,), epochs=2), "data").model
    assert repr(model).startswith("<TableModel: b (classification), 1-3-2, relu, accuracy ")
    found = texts(parsed(model), "td")
    assert found[1] == "b (classification)" and "x & y, z" in found and "<a>" in found


def test_text_is_escaped_and_charts_hold_what_is_not_finite():
    assert texts(parsed(html_table(["<b>"], [["&"]])), "th") == ["<b>"]
    tree = parsed(line_chart([1, 2, 3, 4], {"<x>": [1.0, np.nan, np.inf, 2.0]}, "a", "b", marks=[2]))
    assert tree.attrib["class"] == "chainrule-chart"


def test_this_is_no_notebook():
    assert not in_notebook()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_training_in_a_notebook_shows_a_bar(tmp_path):
    """A kernel runs two cells; the bar is redrawn in place, and nothing goes to standard error."""
    import nbformat
    from nbclient import NotebookClient

    cells = [
        "import numpy as np, chainrule as cr\nfrom chainrule import nn, optim\nx = np.ones((40, 1), np.float32)",
        "cr.fit(nn.MLP([1, 2, 1]), (x, x), loss=nn.squared_error, optimizer=optim.Adam(), epochs=7, restarts=2)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = notebook.cells[1].outputs
    assert [output.output_type for output in outputs] == ["display_data", "execute_result"]
    bar, history = (parsed(output.data["text/html"]) for output in outputs)
    assert bar.find("progress").attrib == {"value": "14", "max": "14"}
    assert "14/14" in "".join(bar.itertext()) and "/2 14/14" in "".join(bar.itertext())
    assert history.find("pre").text.startswith("<History: replica ")
