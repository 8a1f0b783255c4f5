"""Embeddings of numbers against their formulas in NumPy, in every way a network is run."""

import copy
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ChainruleError, DataError, SettingError, ShapeError
from chainrule.nn.quantile_edges import quantile_edges

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype(np.float32)


def periodic(layer, x):
    """The vectors [rows, columns, frequencies or size], number by number."""
    w, b = layer.frequency.numpy(), layer.phase.numpy()
    codes = np.stack([np.cos(x[:, place, None] * w[c] + b[c]) for c, place in enumerate(layer.places)], 1)
    return affine(layer, codes)


def piecewise(layer, x):
    """Likewise, bin by bin and row by row, as the definition has it."""
    rows = []
    for c, place in enumerate(layer.places):
        edges = layer.edges.numpy()[c]
        codes = np.zeros((len(x), len(edges) - 1))
        for t, (left, right) in enumerate(pairwise(edges)):
            for i, value in enumerate(x[:, place]):
                if left < right:
                    codes[i, t] = (
                        0 if value < left else 1 if value >= right else (value - left) / (right - left)
                    )
        rows.append(codes)
    return affine(layer, np.stack(rows, 1))


def affine(layer, codes):
    if layer.size is not None:
        weight, bias = layer.weight.numpy(), layer.bias.numpy()
        codes = np.stack([codes[:, c] @ weight[c] + bias[c] for c in range(len(weight))], 1)
    return np.maximum(codes, 0) if layer.activation == "relu" else codes


def expected(layer, x):
    vectors = {"periodic": periodic, "piecewise": piecewise}[layer.kind](layer, x).reshape(len(x), -1)
    rest = [i for i in range(layer.in_features) if layer.keep or i not in layer.places]
    return np.concatenate([x[:, rest], vectors], 1)


def layers(seed=0, dtype=np.float64):
    """A layer of any settings."""

    def make(places, more, kind, size, keep, activation, codes, as_count):
        columns = len(places) if as_count else places
        features = max(len(places) if as_count else max(places) + 1, 1) + more
        own = {"frequencies": codes} if kind == "periodic" else {"bins": codes}
        layer = nn.NumberEmbedding(
            columns, kind, in_features=features, size=size, keep=keep, activation=activation, seed=seed,
            dtype=dtype, **own,
        )  # fmt: skip
        if kind == "piecewise":
            rows = np.random.default_rng(seed).normal(size=(30, features)).round(1)
            layer.fit_edges(rows)
        return layer

    return st.builds(
        make,
        st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True),
        st.integers(0, 2),
        st.sampled_from(["periodic", "piecewise"]),
        st.sampled_from([None, 1, 3]),
        st.booleans(),
        st.sampled_from([None, "relu"]),
        st.integers(1, 6),
        st.booleans(),
    )


@settings(deadline=None, max_examples=60)
@given(layers(), st.integers(0, 2**32 - 1))
def test_the_formula_of_any_settings(layer, seed):
    x = np.random.default_rng(seed).normal(size=(7, layer.in_features))
    wanted = expected(layer, x)
    assert layer.out_features == wanted.shape[1]
    np.testing.assert_allclose(layer(x).numpy(), wanted, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=8)
@given(layers(), st.integers(0, 2**32 - 1))
def test_compiled_as_interpreted_and_as_finite_differences(layer, seed):
    x = np.random.default_rng(seed).normal(size=(5, layer.in_features))
    np.testing.assert_allclose(layer.predict(x), layer(x).numpy(), rtol=1e-12, atol=1e-12)
    if layer.kind == "periodic" and layer.activation is None:  # codes and relu have kinks
        cr.check_gradients(layer, x)
    if layer.parameters():
        f, theta = nn.as_function(layer), nn.flatten_parameters(layer)
        theta = theta + np.random.default_rng(seed).normal(
            size=theta.shape
        )  # relu has a kink where a bias is 0
        cr.check_gradients(lambda theta: cr.sum(cr.square(f(theta, x))), theta)


@pytest.mark.parametrize("kind", ["periodic", "piecewise"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_compiled_as_interpreted_and_replicas_as_alone(kind, dtype):
    def trained(**more):
        layer = nn.NumberEmbedding([0, 3], kind, in_features=5, size=2, dtype=dtype, seed=0)
        if kind == "piecewise":
            layer.fit_edges(X)
        model = nn.Sequential(layer, nn.MLP([layer.out_features, 6, 1], seed=0, dtype=dtype))
        history = cr.fit(
            model, (X, np.sin(3 * X[:, :1])), loss=nn.squared_error, optimizer=optim.AdamW(0.01), epochs=4,
            batch_size=16, restarts=3, progress=False, **more,
        )  # fmt: skip
        return model, history.loss

    model, loss = trained()
    _, other = trained(executor="interpreted")
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(loss, other, rtol=tolerance)
    assert len(np.unique(loss[:, -1])) == 3 and (loss[:, -1] < loss[:, 0]).all()
    assert trained(threads=2)[1].tobytes() == loss.tobytes()
    if kind == "piecewise":  # the restarts, drawn anew, have kept the edges
        np.testing.assert_array_equal(
            model[0].edges.numpy(),
            nn.NumberEmbedding([0, 3], kind, in_features=5, dtype=dtype).fit_edges(X).edges,
        )


def test_a_layer_draws_what_initialise_draws():
    for kind in ("periodic", "piecewise"):
        layer = nn.NumberEmbedding(3, kind, seed=5)
        before = {name: value for name, value in layer.state_dict().items() if name != "edges"}
        for name, value in layer.initialise(5).state_dict().items():
            assert name == "edges" or np.array_equal(value, before[name])
    frequency = nn.NumberEmbedding(200, frequencies=200, frequency_scale=0.3, seed=0).frequency.numpy()
    np.testing.assert_allclose(frequency.std(), 2 * np.pi * 0.3, rtol=0.01)


def test_edges_travel_with_the_state():
    layer = nn.NumberEmbedding(5, "piecewise", bins=3, seed=0).fit_edges(X)
    assert "edges" in layer.state_dict() and [n for n, _ in layer.named_buffers()] == ["edges"]
    other = nn.NumberEmbedding(5, "piecewise", bins=3, seed=1)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other(X).numpy(), layer(X).numpy())
    # what was loaded stays when initial values are drawn, as what was fitted does
    np.testing.assert_array_equal(other.initialise(3).edges.numpy(), layer.edges.numpy())
    np.testing.assert_array_equal(copy.deepcopy(other).initialise(4).edges.numpy(), layer.edges.numpy())


def test_lbfgs_trains_with_edges():
    layer = nn.NumberEmbedding(5, "piecewise", bins=3, size=2, dtype=np.float64, seed=0).fit_edges(X)
    model, edges = (
        nn.Sequential(layer, nn.Linear(15, 1, seed=0, dtype=np.float64)),
        layer.edges.numpy().copy(),
    )
    y = np.abs(X[:, :1].astype(np.float64))
    cr.fit(
        model,
        (X, y),
        loss=nn.squared_error,
        optimizer=optim.LBFGS(max_iterations=50),
        restarts=2,
        progress=False,
    )
    assert np.mean((model.predict(X) - y) ** 2) < 0.3 * y.var()
    np.testing.assert_array_equal(layer.edges.numpy(), edges)


def test_a_prediction_follows_new_edges():
    layer = nn.NumberEmbedding(5, "piecewise", bins=3, size=None).fit_edges(X)
    first = layer.predict(X)
    layer.fit_edges(X * 2)
    assert not np.array_equal(layer.predict(X), first)
    np.testing.assert_allclose(layer.predict(X), layer(X).numpy(), rtol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_edges_of_columns_with_common_values(seed):
    """From the least to the greatest value, all that differ where they are few, and no bin left over by much."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        rows, bins = int(rng.integers(1, 400)), int(rng.integers(1, 30))
        x = rng.normal(size=rows).round(rng.integers(0, 4))
        x[rng.random(rows) < rng.random()] = rng.choice([0.0, x[0]])
        edges, values = quantile_edges(x[:, None], bins)[0], np.unique(x)
        assert len(edges) == bins + 1
        assert (np.diff(edges) >= 0).all()
        assert (edges[0], edges[-1]) == (x.min(), x.max())
        different = np.unique(edges)
        if len(values) <= bins + 1:
            assert np.array_equal(different, values)
        else:
            assert len(different) >= 0.6 * (bins + 1)


def test_numbers_beside_a_common_value_have_bins():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(2000) < 0.95, 0.0, rng.lognormal(size=2000))
    edges = quantile_edges(x[:, None], 10)[0]
    others = x[x > 0]
    counts = np.histogram(others, np.unique(edges[edges > 0]))[0]
    assert len(counts) >= 8
    assert counts.max() < 0.25 * len(others)


def test_edges_are_quantiles_that_differ():
    x = np.stack([np.arange(101.0), np.repeat([0.0, 1.0], [90, 11]), np.full(101, 7.0)], 1)
    layer = nn.NumberEmbedding(3, "piecewise", bins=4, size=None, keep=False, dtype=np.float64).fit_edges(x)
    assert layer.edges.tolist() == [[0, 25, 50, 75, 100], [0, 1, 1, 1, 1], [7, 7, 7, 7, 7]]
    codes = layer(np.array([[60.0, 0.25, 7.0], [-5.0, 9.0, 8.0]])).numpy()
    np.testing.assert_allclose(
        codes, [[1, 1, 0.4, 0, 0.25, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]], atol=1e-15
    )
    # edges that float32 cannot tell apart are one, and nothing is divided by their distance
    near = np.array([[1.0], [1.0 + 1e-9], [1.0 + 2e-9], [2.0]])
    layer = nn.NumberEmbedding(1, "piecewise", bins=3, size=None, keep=False).fit_edges(near)
    assert layer.edges.tolist() == [[1, 2, 2, 2]] and layer(near.astype(np.float32)).numpy().max() == 1


def test_weight_decay_and_penalties_spare_all_but_the_weight_that_asks_for_it():
    names = {name: p.penalised for name, p in nn.NumberEmbedding(2).named_parameters()}
    assert names == {"frequency": False, "phase": False, "weight": False, "bias": False}
    names = {name: p.penalised for name, p in nn.NumberEmbedding(2, penalised=True).named_parameters()}
    assert names == {"frequency": False, "phase": False, "weight": True, "bias": False}


def test_rows_of_any_batch_shape_and_no_rows():
    layer = nn.NumberEmbedding([1, 3], in_features=5, seed=0)
    whole = layer(X).numpy()
    np.testing.assert_array_equal(layer(X[0]).numpy(), whole[0])
    np.testing.assert_array_equal(layer(X.reshape(2, 4, 5, 5)).numpy(), whole.reshape(2, 4, 5, -1))
    assert layer(X[:0]).shape == layer.predict(X[:0]).shape == (0, 11)


def test_how_it_is_shown():
    assert repr(nn.NumberEmbedding(2)) == "NumberEmbedding(2, 'periodic', frequencies=16, size=3)"
    layer = nn.NumberEmbedding(
        [3, 1], "piecewise", in_features=6, bins=4, size=None, keep=False, activation="relu"
    )
    assert repr(layer) == (
        "NumberEmbedding([3, 1], in_features=6, 'piecewise', bins=4, size=None, keep=False, activation='relu')"
    )
    (row,) = nn.NumberEmbedding(8).summary().layers
    assert (row.output[1:], row.parameters) == ((32,), 8 * (16 + 16 + 48 + 3))
    assert row.multiply_adds == 8 * (16 + 48)


def test_what_cannot_be_is_refused():
    for settings_, words in (
        ({"columns": 0}, "count"),
        ({"columns": [0, 0]}, "different places"),
        ({"columns": [0, 7], "in_features": 7}, "from 0 to 6"),
        ({"columns": 3, "in_features": 2}, "name features"),
        ({"columns": []}, "name features"),
        ({"columns": "ab"}, "name features"),
        ({"columns": [0.5]}, "name features"),
        ({"columns": 2, "kind": "periodical"}, "'periodic'"),
        ({"columns": 2, "size": 0}, "size"),
        ({"columns": 2, "frequencies": 0}, "frequencies"),
        ({"columns": 2, "bins": 3}, "bins has no meaning"),
        ({"columns": 2, "edges": [[0, 1]] * 2}, "edges has no meaning"),
        ({"columns": 2, "kind": "piecewise", "frequencies": 3}, "frequencies has no meaning"),
        ({"columns": 2, "kind": "piecewise", "bins": 1, "edges": [[0, 1]] * 2}, "both given"),
        ({"columns": 2, "kind": "piecewise", "edges": [[0, 1], [1, 1]]}, "must increase"),
        ({"columns": 2, "kind": "piecewise", "edges": [[0, 1], [1]]}, "must increase"),
        ({"columns": 2, "frequency_scale": -1.0}, "frequency_scale"),
        ({"columns": 2, "frequency_scale": np.nan}, "frequency_scale"),
        ({"columns": 2, "activation": "rely"}, "'relu'"),
    ):
        with pytest.raises(SettingError, match=words):
            nn.NumberEmbedding(**settings_)
    with pytest.raises(ShapeError, match="a list for each column"):
        nn.NumberEmbedding(2, "piecewise", edges=[[0, 1]])
    with pytest.raises(DataError, match="not finite"):
        nn.NumberEmbedding(1, "piecewise", edges=[[0, np.inf]])
    with pytest.raises(ShapeError, match="number of features"):
        nn.NumberEmbedding(2)(X)


def test_edges_that_are_not_known_yet():
    model = nn.Sequential(nn.NumberEmbedding(5, "piecewise"), nn.Linear(20, 1))
    for use in (model, model.predict, lambda x: model.summary(), lambda x: cr.save_onnx(model, "never.onnx")):
        with pytest.raises(SettingError, match="no edges yet") as caught:
            use(X)
        assert "fit_edges" in str(caught.value)
    with pytest.raises(SettingError, match="no edges yet"):
        cr.fit(model, (X, X[:, :1]), loss=nn.squared_error, optimizer=optim.Adam(), epochs=1, progress=False)
    layer = model[0]
    with pytest.raises(SettingError, match="no edges"):
        nn.NumberEmbedding(5).fit_edges(X)
    with pytest.raises(ShapeError, match="wrong shape"):
        layer.fit_edges(X[:, :4])
    with pytest.raises(DataError, match="no rows"):
        layer.fit_edges(X[:0])
    with pytest.raises(DataError, match="not finite"):
        layer.fit_edges(np.where(X > 1, np.nan, X))


def test_no_division_by_a_denormal_width():
    layer = nn.NumberEmbedding(1, "piecewise", edges=[[0.0, 1e-40, 1.0]], size=None, keep=False)
    assert layer(np.array([[0.0], [0.5]], np.float32)).tolist() == [[0, 0], [0, 0.5]]


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("odd", [1e39, -1e39])
def test_edges_that_the_dtype_cannot_hold(fitted, odd):
    with pytest.raises(DataError, match="float32"):
        if fitted:
            nn.NumberEmbedding(1, "piecewise", bins=2).fit_edges(np.array([[odd], [0.0], [1.0], [2.0]]))
        else:
            nn.NumberEmbedding(1, "piecewise", edges=[sorted([0.0, odd])])


def test_edges_that_are_no_numbers():
    with pytest.raises(Exception, match="complex") as error:
        nn.NumberEmbedding(1, "piecewise", bins=2).fit_edges(np.array([[1j], [2j]]))
    assert isinstance(error.value, ChainruleError)
    for edges in (5, "ab", [["a", "b"]], [[1j, 2j]]):
        with pytest.raises(ChainruleError):
            nn.NumberEmbedding(1, "piecewise", edges=edges)
