"""What onnxruntime predicts from an exported file is what the model predicts, for any number of rows."""

from contextlib import nullcontext

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ExchangeError, SettingError
from chainrule.exchange import to_onnx
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.modes import at_inference
from chainrule.tables import TrainingSettings, train_table

RNG = np.random.default_rng(0)


def opened(model, example=None):
    return onnxruntime.InferenceSession(to_onnx(model, example=example))


def agree(model, example, rows=(1, 2, 7, 50), scale=1.0):
    session = opened(model, example)
    for count in rows:
        x = RNG.normal(0, scale, size=(count, *example.shape[1:]))
        x = (x.round() if scale > 1 else x).astype(example.dtype)
        found = session.run(None, {"x": x})[0]
        with at_inference(model) if isinstance(model, nn.Module) else nullcontext():
            expected = model(cr.tensor(x)).numpy()
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name, dtype):
    agree(nn.MLP([3, 5, 2], activation=name, seed=0, dtype=dtype), np.zeros((1, 3), dtype))


def trained_norm():
    """A network whose running moments are not those that it began with."""
    model = nn.Sequential(
        nn.Linear(4, 8, seed=0), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2, seed=1)
    )
    model(RNG.normal(2, 3, size=(64, 4)).astype(np.float32))
    return model


def test_batch_normalisation_uses_its_running_moments_and_dropout_drops_nothing():
    model = trained_norm()
    agree(model, np.zeros((1, 4), np.float32))
    assert model.training  # as it was


def graph_network():
    """Edges that skip layers, and an order that is not the one of the inputs."""
    edges = [("a", "h"), ("b", "h"), ("c", "h"), ("h", "g"), ("a", "g"), ("d", "o"), ("g", "o"), ("h", "p")]
    return nn.GraphNetwork(edges, inputs=["a", "b", "c", "d"], outputs=["p", "o"], activation="tanh")


LAYERS = {
    "WeightDropout": lambda: nn.WeightDropout(nn.Linear(4, 3, seed=0), 0.5),
    "Linear without bias": lambda: nn.Linear(4, 3, bias=False, seed=0),
    "BatchNorm1d without scale": lambda: nn.BatchNorm1d(4, affine=False),
    "Softmax over rows": lambda: nn.Softmax(axis=0),
    "LeakyReLU": lambda: nn.LeakyReLU(0.3),
    "ELU": lambda: nn.ELU(0.7),
    "Identity": nn.Identity,
    "MaskedLinear": lambda: nn.MaskedLinear([[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1]], seed=0),
    "Averaged": lambda: nn.Averaged(nn.Linear(4, 3, seed=0)),
    "GraphNetwork": graph_network,
    "PolynomialFeatures": lambda: nn.PolynomialFeatures(4, 3),
    "ReferenceClass": nn.ReferenceClass,
    "Embedding": lambda: nn.Embedding(5, 3, unseen="mean", seed=0),
    "CategoryEmbedding": lambda: nn.CategoryEmbedding({3: 9, 1: 4}, in_features=4, seed=0),
    "NumberEmbedding, periodic": lambda: nn.NumberEmbedding([2, 0], in_features=4, activation="relu", seed=0),
    "NumberEmbedding, piecewise": lambda: nn.NumberEmbedding(
        4, "piecewise", edges=[[-1, 0, 1], [0, 2], [-3, -2, 1, 2], [0, 0.5]], keep=False, seed=0
    ),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_every_layer(make):
    layer = make()
    codes = isinstance(layer, nn.Embedding | nn.CategoryEmbedding)  # whole numbers, some of which are unseen
    agree(layer, np.zeros((1, 4), np.float32), scale=3.0 if codes else 1.0)


def test_every_module_of_nn_is_exported_in_these_tests():
    tested = {type(make()) for make in LAYERS.values()} | {
        activation.module for activation in ACTIVATIONS.values()
    }
    tested |= {nn.MLP, nn.Sequential, nn.Dropout, nn.Flatten}
    belongs_to_rows = {nn.AbsorbedLoss}  # holds the targets of certain rows
    modules = {x for x in vars(nn).values() if isinstance(x, type) and issubclass(x, nn.Module)}
    assert modules - {nn.Module} == tested | belongs_to_rows


def test_pictures_are_flattened():
    agree(nn.Sequential(nn.Flatten(), nn.Linear(12, 2, seed=0)), np.zeros((1, 3, 4), np.float32))


@pytest.mark.parametrize("loss", [nn.squared_error, nn.cross_entropy, nn.binary_cross_entropy])
def test_an_ensemble(loss):
    x = RNG.normal(size=(40, 3)).astype(np.float32)
    history = cr.fit(
        nn.MLP([3, 4, 2]),
        (
            x,
            (x[:, 0] > 0).astype(np.int64) if loss is nn.cross_entropy else (x[:, :2] > 0).astype(np.float32),
        ),
        loss=loss,
        optimizer=cr.optim.Adam(),
        epochs=2,
        restarts=3,
    )
    agree(history.ensemble(), x)


def test_a_module_and_a_function_of_ones_own():
    class Attention(nn.Module):
        def __init__(self):
            self.query, self.key = nn.Linear(4, 4, seed=0), nn.Linear(4, 4, seed=1)

        def forward(self, x):
            scores = self.query(x) @ self.key(x).T  # [rows, rows]
            return cr.softmax(scores) @ x

    agree(Attention(), np.zeros((1, 4), np.float32))
    agree(lambda x: cr.logsumexp(x[::-1, 1:] * x.shape[0], 1) - cr.mean(x), np.zeros((1, 4), np.float32))
    agree(lambda x: cr.concat([x[1:], x[:1]]) + np.ones((x.shape[0], 1), np.float32), np.zeros((1, 2)))
    agree(lambda x: cr.pad(x, [(1, 2), (0, 0)]).reshape(-1), np.zeros((1, 2)))
    agree(lambda x: cr.take(x, np.array([1, -1, 0, 1]), axis=1), np.zeros((1, 3)))
    agree(lambda x: cr.argmax(x, 1), np.zeros((1, 3)))


def test_parameters_keep_their_names():
    model = onnx.load_from_string(to_onnx(nn.MLP([3, 2], seed=0)))
    assert {"0.weight", "0.bias"} <= {tensor.name for tensor in model.graph.initializer}
    assert model.producer_name == "chainrule"


def test_what_depends_on_the_rows_otherwise_is_refused_with_its_line():
    for function in (
        lambda x: x * float(x.shape[0] ** 2),
        lambda x: cr.reshape(x, (x.shape[0] * 2,))[: x.shape[0] // 2],
        lambda x: cr.sin(x) if x.shape[0] > 10 else cr.cos(x),
        lambda x: x * np.arange(x.shape[0])[:, None],
    ):
        with pytest.raises(ExchangeError, match="number of rows") as caught:
            to_onnx(function, example=np.zeros((1, 2)))
        assert "test_onnx" in str(caught.value.where)


def test_what_cannot_be_exported_is_said():
    with pytest.raises(SettingError, match="example"):
        to_onnx(nn.Tanh())
    with pytest.raises(SettingError, match="function"):
        to_onnx(lambda x: x)
    with pytest.raises(SettingError, match="this cannot be exported"):
        to_onnx(3)
    dropout = nn.Dropout(0.5)
    with pytest.raises(ExchangeError, match="changes the model's state"):
        to_onnx(dropout.forward, example=np.zeros((1, 2)))


# Tables

TOWNS = ["Oslo", "Rome", "Bonn", ""]


def table(rows=200):
    rng = np.random.default_rng(1)
    rooms = rng.integers(1, 9, rows)
    town = rng.choice(TOWNS, rows)
    return pl.DataFrame(
        {
            "rooms": [None if i % 9 == 0 else int(r) for i, r in enumerate(rooms)],
            "town": [t or None for t in town],
            "garden": [None if i % 11 == 0 else bool(b) for i, b in enumerate(rng.random(rows) < 0.5)],
            "built": pl.Series(rng.integers(0, 9000, rows).astype(np.int32)).cast(pl.Date),
            "price": rooms * 10.0 + (town == "Oslo") * 30 + rng.normal(size=rows),
        }
    )


def given(frame):
    """The inputs of the exported model for a table."""
    numbers = {
        name: frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("rooms", "garden")
    }
    seconds = frame["built"].cast(pl.Datetime("us")).dt.epoch("us").to_numpy() / 1e6
    return {**numbers, "town": frame["town"].fill_null("").to_numpy().astype(object), "built": seconds}


SETTINGS = TrainingSettings(hidden=(8,), epochs=5, batch_norm=True, dropout=0.1)


def test_a_model_of_a_table_with_its_preprocessing():
    frame = table()
    model = train_table(frame, "price", SETTINGS).model
    new = frame.with_columns(
        town=pl.Series(["Paris", *frame["town"][1:]])
    )  # a town that training did not have
    found = opened(model).run(None, given(new))[0]
    expected = model.predict(new).values.to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * frame["price"].std())


@pytest.mark.parametrize(
    "names", [["cheap", "dear"], [3, 7], [False, True]], ids=["text", "integer", "boolean"]
)
def test_classes_come_out_as_they_stood_in_the_table(names, tmp_path):
    frame = table().with_columns(price=pl.Series([names[int(p > 60)] for p in table()["price"]]))
    model = train_table(frame, "price", SETTINGS).model
    model.save_onnx(tmp_path / "m.onnx")
    prediction, probabilities = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, given(frame))
    expected = model.predict(frame)
    assert prediction.tolist() == expected.values.to_list()
    np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-5)
    facts = onnx.load(tmp_path / "m.onnx").metadata_props
    assert {p.key for p in facts} == {"chainrule.target", "chainrule.features", "chainrule.classes"}


def test_columns_may_have_any_name():
    names = ["prediction", "Concat_0", "constant_0", "0.weight", "probabilities", "x y\n<é>", "rows"]
    frame = pl.DataFrame({name: RNG.normal(size=40) for name in names} | {"c": ["a", "b"] * 20})
    model = train_table(frame, "c", TrainingSettings(hidden=(3,), epochs=1)).model
    session = opened(model)
    assert [x.name for x in session.get_inputs()] == names
    assert [x.name for x in session.get_outputs()] == ["prediction_", "probabilities_"]
    found = session.run(None, {name: frame[name].to_numpy() for name in names})[1]
    np.testing.assert_allclose(found, model.predict(frame).probabilities, atol=1e-5)


def test_a_constant_column_needs_no_input_and_a_table_of_one_row_is_enough():
    frame = table().with_columns(same=pl.lit(1.0))
    model = train_table(frame, "price", SETTINGS).model
    session = opened(model)
    assert "same" not in [x.name for x in session.get_inputs()]
    found = session.run(None, {name: value[:1] for name, value in given(frame).items()})[0]
    np.testing.assert_allclose(found, model.predict(frame[:1]).values.to_numpy(), rtol=1e-5)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_many_categories_and_values_far_outside(task):
    rng = np.random.default_rng(0)
    streets = [f"street {i}" for i in range(150)]
    street = rng.choice([*streets, None], 3000, p=[*np.arange(1, 151) / 11400, 75 / 11400])
    size = rng.normal(size=3000)
    price = np.array([len(s or "") for s in street]) + size + rng.normal(size=3000)
    y = price if task == "regression" else np.array(["low", "mid", "high"])[np.digitize(price, [9, 11])]
    frame = pl.DataFrame({"street": street.tolist(), "size": size, "price": y})
    model = train_table(frame, "price", TrainingSettings(hidden=(8,), epochs=2)).model
    assert model.preprocessor.columns[0].has_effects
    new = frame.with_columns(
        street=pl.Series(["nowhere", None, *frame["street"][2:]]), size=pl.Series([1e9, -1e300, *size[2:]])
    )
    inputs = {"street": new["street"].fill_null("").to_numpy().astype(object), "size": new["size"].to_numpy()}
    found = opened(model).run(None, inputs)
    expected = model.predict(new)
    if task == "regression":
        np.testing.assert_allclose(found[0], expected.values.to_numpy(), rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_allclose(found[1], expected.probabilities, atol=1e-5)


def test_free_text_is_refused():
    texts = [f"a {w} house with {n} rooms" for w, n in zip(["red", "old"] * 50, range(100), strict=True)]
    frame = pl.DataFrame({"about": texts, "x": RNG.normal(size=100), "y": RNG.normal(size=100)})
    model = train_table(frame, "y", SETTINGS).model
    with pytest.raises(ExchangeError, match=r"'about' is free text(.*\n)*.*--ignore about"):
        opened(model)
