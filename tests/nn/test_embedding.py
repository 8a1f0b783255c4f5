"""Embeddings of categories: which vector a code gets, in every dtype and every way a network is run."""

from contextlib import nullcontext

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import IndexOutOfRangeError, SettingError, ShapeError
from chainrule.exchange import to_onnx

RNG = np.random.default_rng(0)
DTYPES = [np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.uint64, np.bool_]
#: codes that have no vector among 5
STRANGE = [-1, -5, 5, 127, np.nan, np.inf, -np.inf, 1e30]


def table(count=5, size=3, unseen="error", dtype=np.float64):
    return nn.Embedding(count, size, unseen=unseen, seed=0, dtype=dtype)


def everyway(layer, codes):
    """What the layer gives eagerly, compiled, and from its exported file; equal."""
    eager = layer(cr.tensor(codes)).numpy()
    np.testing.assert_array_equal(cr.compile(layer)(cr.tensor(codes)).numpy(), eager)
    np.testing.assert_array_equal(layer.predict(cr.tensor(codes)), eager)
    return eager


@pytest.mark.parametrize("unseen", ["error", "mean"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (6, 2), (0,)])
def test_a_code_gets_its_row(dtype, shape, unseen):
    layer = table(unseen=unseen)
    codes = RNG.integers(0, 2 if dtype is np.bool_ else 5, shape).astype(dtype)
    wanted = layer.weight.numpy()[codes.astype(int)]
    np.testing.assert_array_equal(layer(cr.tensor(codes)).numpy(), wanted)
    if unseen == "mean" or dtype is np.int64:
        np.testing.assert_array_equal(cr.compile(layer)(cr.tensor(codes)).numpy(), wanted)


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_any_other_code_is_unseen(strange, dtype):
    if np.dtype(dtype).kind == "i" and (strange != np.trunc(strange) or abs(strange) > 127):
        return
    codes = np.array([[1, strange], [4, 0]]).astype(dtype)
    layer = table(unseen="mean")
    wanted = layer.weight.numpy()[[[1, 0], [4, 0]]]
    wanted[0, 1] = layer.weight.numpy().mean(0)
    np.testing.assert_allclose(everyway(layer, codes), wanted, rtol=1e-14)
    strict = table()
    for use in (strict, strict.predict, cr.compile(strict)):
        with pytest.raises(IndexOutOfRangeError):
            use(cr.tensor(codes))
    with pytest.raises(IndexOutOfRangeError, match="whole numbers from 0 to 4"):
        strict(codes)


@pytest.mark.parametrize("fraction", [2.5, -0.5, 0.01, 4.999999, 7.5])
@pytest.mark.parametrize("unseen", ["error", "mean"])
def test_a_fraction_is_no_code(fraction, unseen):
    """A column of codes that was scaled must not train as one vector for all."""
    layer, codes = table(unseen=unseen, dtype=np.float32), np.array([1, fraction], np.float32)
    for use in (layer, layer.predict, cr.compile(layer)):
        with pytest.raises(IndexOutOfRangeError):
            use(codes)
    with pytest.raises(IndexOutOfRangeError, match="scale the columns of numbers only"):
        layer(codes)


def test_training_on_scaled_codes_is_an_error():
    model = nn.Sequential(nn.CategoryEmbedding({1: 4}, 2, in_features=2), nn.Linear(3, 1))
    scaled = mixed()[:, [0, 3]] / 2
    with pytest.raises(IndexOutOfRangeError):
        cr.fit(
            model,
            (scaled, scaled[:, :1]),
            loss=nn.squared_error,
            optimizer=optim.Adam(),
            epochs=1,
            progress=False,
        )


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 6), st.integers(1, 4), st.sampled_from(["error", "mean"]), st.integers(0, 2**32 - 1))
def test_gradients_add_up_over_equal_codes(count, size, unseen, seed):
    rng = np.random.default_rng(seed)
    layer = table(count, size, unseen)
    top = count + (2 if unseen == "mean" else 0)
    codes = rng.integers(0, top, (7, 2))
    delta = rng.normal(size=(7, 2, size))
    wanted = np.zeros((count, size))
    for index in np.ndindex(7, 2):
        if codes[index] < count:
            wanted[codes[index]] += delta[index]
        else:
            wanted += delta[index] / count
    layer(codes).backward(delta)
    np.testing.assert_allclose(layer.weight.grad.numpy(), wanted, rtol=1e-12, atol=1e-12)
    f, theta = nn.as_function(layer), nn.flatten_parameters(layer)
    cr.check_gradients(lambda theta: cr.sum(cr.square(f(theta, codes))), theta)
    compiled = cr.compile(cr.grad(lambda theta: cr.sum(f(theta, codes) * delta)))(theta)
    np.testing.assert_allclose(compiled.numpy(), wanted.ravel(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
@pytest.mark.parametrize("unseen", ["error", "mean"])
def test_training(dtype, unseen):
    codes = RNG.integers(0, 5, (60, 2)).astype(dtype)
    y = (codes[:, :1].astype(int) ** 2 % 5).astype(np.float32)

    def trained(**more):
        model = nn.Sequential(
            nn.Embedding(5, 4, unseen=unseen, seed=0), nn.Flatten(), nn.MLP([8, 8, 1], seed=0)
        )
        history = cr.fit(
            model, (codes, y), loss=nn.squared_error, optimizer=optim.AdamW(0.05), epochs=30, batch_size=16,
            restarts=2, progress=False, **more,
        )  # fmt: skip
        return model, history.loss

    model, loss = trained()
    np.testing.assert_allclose(loss[:, :3], trained(executor="interpreted")[1][:, :3], rtol=1e-4)
    assert trained(threads=2)[1].tobytes() == loss.tobytes()
    assert (loss[:, -1] < 0.1).all()
    assert np.mean((model.predict(codes) - y) ** 2) < 0.1


def test_rows_that_no_code_picks_are_moved_by_weight_decay_alone():
    codes, y = np.array([[0], [2]]), np.ones((2, 1), np.float32)
    for penalised, moved in ((True, True), (False, False)):
        model = nn.Sequential(nn.Embedding(4, 1, seed=0, penalised=penalised), nn.Flatten())
        before = model[0].weight.numpy().copy()
        cr.fit(
            model, (codes, y), loss=nn.squared_error, optimizer=optim.AdamW(0.1, weight_decay=0.5), epochs=2,
            progress=False,
        )  # fmt: skip
        after = model[0].weight.numpy()
        assert (after[[0, 2]] != before[[0, 2]]).all() and ((after[[1, 3]] != before[[1, 3]]).all() == moved)


def test_codes_out_of_range_end_training_with_an_error():
    for executor in ("compiled", "interpreted"):
        model = nn.Sequential(nn.Embedding(3, 2), nn.Flatten(), nn.Linear(2, 1))
        with pytest.raises(IndexOutOfRangeError):
            cr.fit(
                model, (np.array([[0], [3]]), np.ones((2, 1))), loss=nn.squared_error, optimizer=optim.Adam(),
                epochs=1, progress=False, executor=executor,
            )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_export_of_codes_seen_and_unseen(dtype):
    model = nn.Sequential(nn.Embedding(300, 4, unseen="mean", seed=0), nn.Flatten(), nn.Linear(8, 2, seed=0))
    example = np.zeros((1, 2), dtype)
    session = onnxruntime.InferenceSession(to_onnx(model, example=example))
    codes = RNG.integers(-3, 303, (200, 2)).astype(dtype)
    np.testing.assert_allclose(session.run(None, {"x": codes})[0], model.predict(codes), rtol=1e-5, atol=1e-5)


def test_large_codes_as_floats_are_exact_or_refused():
    class Light(nn.Embedding):
        """Without the vectors of so many codes."""

        def __init__(self, count):
            self.count, self.size, self.unseen = count, 1, "error"

    codes = np.array([2**24 - 1, 2**24 - 2, 0])
    for dtype in (np.float32, np.float64, np.int32):
        given_codes = cr.tensor(codes.astype(dtype))
        there, refused = Light(2**24)._sorted(given_codes)
        assert there.numpy().all() and not refused.numpy().any()
        assert given_codes.astype(cr.int64).tolist() == codes.tolist()
    for dtype, refused in ((np.float32, True), (np.float64, False), (np.int32, False)):
        with pytest.raises(SettingError, match="so many codes apart") if refused else nullcontext():
            Light(2**24 + 1)._need_exact(cr.tensor(codes.astype(dtype)))


def test_rows_that_depend_on_each_other_are_found_behind_codes():
    """A change of codes makes all rows alike, which would hide that the rows are averaged."""

    class Mean(nn.Module):
        def __init__(self):
            self.embedding = nn.Embedding(4, 2, unseen="mean", seed=0)

        def forward(self, x):
            vectors = self.embedding(x[:, 0])
            return vectors - cr.mean(vectors, 0)

    model, codes = Mean(), np.array([[0], [1], [3]], np.float32)
    np.testing.assert_allclose(model.predict(codes), model(codes).numpy(), atol=1e-6)


CATEGORIES = {3: 4, 1: 30}


def mixed(rows=50):
    return np.stack(
        [RNG.normal(size=rows), RNG.integers(0, 30, rows), RNG.normal(size=rows), RNG.integers(0, 4, rows)], 1
    ).astype(np.float32)


def test_a_summary_needs_an_example_of_the_codes():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 1))
    with pytest.raises(SettingError, match="an example of its input"):
        model.summary()
    assert model.summary(np.zeros((1, 2), int)).layers[0].output[1:] == (2, 3)


def test_columns_of_codes_beside_numbers():
    layer = nn.CategoryEmbedding(CATEGORIES, size={3: 2, 1: 5}, in_features=4, seed=0)
    x = mixed()
    first, second = (layer.embeddings[place].weight.numpy()[x[:, place].astype(int)] for place in (3, 1))
    np.testing.assert_array_equal(layer(x).numpy(), np.concatenate([x[:, [0, 2]], first, second], 1))
    np.testing.assert_array_equal(layer.predict(x), layer(x).numpy())
    assert layer.out_features == 9 and layer(x[0]).shape == (9,)
    assert sorted(layer.state_dict()) == ["embeddings.1.weight", "embeddings.3.weight"]
    weights = [p.numpy().copy() for p in nn.CategoryEmbedding({0: 6, 1: 6}, 3, seed=4).parameters()]
    assert not np.array_equal(*weights)
    again = nn.CategoryEmbedding({0: 6, 1: 6}, 3, seed=1).initialise(4).parameters()
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(weights, again, strict=True))


def test_a_table_of_numbers_and_categories_trains_in_one_sequential():
    x = mixed(400)
    y = (np.sin(3 * x[:, 0]) + x[:, 1] % 2 + x[:, 3])[:, None].astype(np.float32)
    categories = nn.CategoryEmbedding(CATEGORIES, in_features=4, seed=0)
    numbers = nn.NumberEmbedding(2, in_features=categories.out_features, seed=0)
    model = nn.Sequential(categories, numbers, nn.MLP([numbers.out_features, 32, 1], seed=0))
    cr.fit(
        model,
        (x, y),
        loss=nn.squared_error,
        optimizer=optim.AdamW(0.01),
        epochs=60,
        batch_size=32,
        progress=False,
    )
    assert np.mean((model.predict(x) - y) ** 2) < 0.05 * y.var()
    assert model.summary().parameters == sum(p.size for p in model.parameters())


def test_sizes_by_rule():
    found = {c: nn.CategoryEmbedding({0: c}).out_features for c in (1, 2, 3, 10, 60, 10_000)}
    assert found == {1: 2, 2: 2, 3: 3, 10: 6, 60: 16, 10_000: 16}


def test_what_cannot_be_is_refused():
    for make, words in (
        (lambda: nn.Embedding(0, 2), "count"),
        (lambda: nn.Embedding(2, 0), "size"),
        (lambda: nn.Embedding(2, 2, unseen="zero"), "error, mean"),
        (lambda: nn.CategoryEmbedding([3, 4]), "must map"),
        (lambda: nn.CategoryEmbedding({}), "name features"),
        (lambda: nn.CategoryEmbedding({0: 0}), "column 0"),
        (lambda: nn.CategoryEmbedding({0: 3, 1: 3}, {0: 2}), "column 1"),
        (lambda: nn.CategoryEmbedding({5: 3}, in_features=5), "name features"),
        (lambda: nn.CategoryEmbedding({"town": 3}), "name features"),
    ):
        with pytest.raises(SettingError, match=words):
            make()
    with pytest.raises(ShapeError):
        nn.CategoryEmbedding({0: 3})(np.zeros((2, 2), np.float32))
    assert repr(nn.Embedding(3, 2, unseen="mean")) == "Embedding(3, 2, unseen='mean')"
