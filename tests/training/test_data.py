"""Data that can be trained on, and what is said about data that cannot."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ChainruleError, DataError, ShapeError
from chainrule.training.batches import as_rows


@pytest.fixture
def fit_on(make_model):
    """fit for one epoch on any data; the model must be unchanged when it fails."""

    def run(x, y, *, loss=nn.squared_error, widths=(3, 6, 2), **settings):
        model = make_model(widths=widths)
        before = model.state_dict()
        try:
            return cr.fit(model, (x, y), loss=loss, optimizer=optim.SGD(0.1), epochs=1, **settings)
        except ChainruleError:
            assert all((model.state_dict()[k] == v).all() for k, v in before.items())
            assert model.training
            raise

    return run


def test_non_finite_inputs_are_named(fit_on, regression):
    x, y = regression
    x[7, 2], x[31, 0] = np.nan, np.inf
    with pytest.raises(
        DataError, match=r"X has 2 values that are not finite(.|\n)*X\[7, 2\] = nan, X\[31, 0\] = inf"
    ):
        fit_on(x, y)


def test_non_finite_targets_are_named(fit_on, regression):
    x, y = regression
    y[4, 1] = -np.inf
    with pytest.raises(DataError, match=r"y has 1 value that is not finite(.|\n)*y\[4, 1\] = -inf"):
        fit_on(x, y)
    with pytest.raises(DataError, match="validation y has 1 value"):
        fit_on(x, np.zeros_like(y), validation=(x, y))


def test_numbers_too_large_for_the_models_dtype(make_model, regression):
    x, y = regression
    x[3, 1] = 1e300
    with pytest.raises(DataError, match=r"X in float32 has 1 value(.|\n)*X in float32\[3, 1\]"):
        cr.fit(make_model(dtype=np.float32), (x, y), loss=nn.squared_error, optimizer=optim.SGD(0.1))


def test_different_lengths(fit_on, regression):
    x, y = regression
    with pytest.raises(ShapeError, match=r"X and y have different(.|\n)*50 targets(.|\n)*49"):
        fit_on(x, y[:-1])
    with pytest.raises(ShapeError, match="validation X and validation y have different"):
        fit_on(x, y, validation=(x[:3], y[:2]))


def test_no_rows(fit_on):
    with pytest.raises(DataError, match="X has no rows"):
        fit_on(np.zeros((0, 3)), np.zeros((0, 2)))


@pytest.mark.parametrize(
    "x",
    [
        np.array([["a", "b", "c"]] * 50),
        np.full((50, 3), {}),
        np.array(["2020-01-01"] * 150, "M8[D]").reshape(50, 3),
    ],
)
def test_not_numeric(fit_on, regression, x):
    with pytest.raises(DataError, match=r"X is not numeric(.|\n)*encode categories"):
        fit_on(x, regression[1])


def test_complex_and_ragged(fit_on, regression):
    with pytest.raises(DataError, match=r"X: (.|\n)*real numbers"):
        fit_on(regression[0] + 1j, regression[1])
    with pytest.raises(ShapeError, match="X: the rows have different lengths"):
        fit_on([[1.0, 2.0, 3.0], [1.0]], [[0.0, 0.0], [0.0, 0.0]])


def test_one_axis_only(fit_on, regression):
    with pytest.raises(ShapeError, match=r"X has no columns(.|\n)*\[:, None\]"):
        fit_on(np.zeros(3), np.zeros(3), widths=(3, 1))
    with pytest.raises(ShapeError, match="y is a single number"):
        fit_on(regression[0], 3.0)


@pytest.mark.parametrize("data", [np.zeros((50, 3)), (np.zeros((50, 3)),), "data.csv", None])
def test_not_a_pair(make_model, data):
    with pytest.raises(DataError, match="not a pair of inputs and targets"):
        cr.fit(make_model(), data, loss=nn.squared_error, optimizer=optim.SGD(0.1))


def test_labels_out_of_range(fit_on, classes):
    x, y = classes
    y[17] = 3
    with pytest.raises(DataError, match=r"labels are out of range(.|\n)*0 to 2(.|\n)*3 in row 17"):
        fit_on(x, y, loss=nn.cross_entropy, widths=(4, 5, 3))
    with pytest.raises(DataError, match="labels are out of range"):
        fit_on(x, np.zeros_like(y), loss=nn.cross_entropy, widths=(4, 5, 3), validation=(x, y))


def test_labels_that_are_not_integers(fit_on, classes):
    x, y = classes
    with pytest.raises(DataError, match="labels are not integers"):
        fit_on(x, y + 0.5, loss=nn.cross_entropy, widths=(4, 5, 3))


def test_binary_targets_out_of_range(fit_on, classes):
    x, y = classes
    with pytest.raises(DataError, match=r"out of range(.|\n)*row"):
        fit_on(x, 2 * (y > 0) - 1, loss=nn.binary_cross_entropy, widths=(4, 5, 1))


def test_wrong_number_of_features_names_the_layer_and_the_line(fit_on, regression):
    with pytest.raises(ShapeError) as caught:
        fit_on(regression[0][:, :2], regression[1])
    text = str(caught.value)
    assert "Linear(3, 6" in text and "[batch, 3]" in text and "[50, 2]" in text
    assert f"{__file__}" in text and "cr.fit(" in text


def test_targets_of_another_width(fit_on, regression):
    with pytest.raises(ShapeError, match=r"squared_error(.|\n)*\[50, 2\](.|\n)*\[50, 3\]"):
        fit_on(regression[0], np.zeros((50, 3)))


def test_a_column_of_predictions_against_a_vector_of_targets(make_model, regression, same_state):
    """[n, 1] against [n] is never broadcast to [n, n]."""
    x, y = regression[0], regression[1][:, 0]
    vector, column = make_model(widths=(3, 4, 1)), make_model(widths=(3, 4, 1))
    for model, target in ((vector, y), (column, y[:, None])):
        history = cr.fit(model, (x, target), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=2)
    same_state(vector.state_dict(), column.state_dict())
    assert history.loss[0, 0] < 3.0 * np.var(y)


def test_a_loss_that_is_no_scalar(fit_on, regression):
    with pytest.raises(ShapeError, match=r"not a scalar tensor(.|\n)*\(50, 2\)(.|\n)*mean"):
        fit_on(*regression, loss=lambda p, t: nn.squared_error(p, t, "none"))
    with pytest.raises(ShapeError, match=r"not a scalar tensor(.|\n)*a float"):
        fit_on(*regression, loss=lambda p, t: 1.0)


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float16", "float32"])
def test_inputs_of_any_dtype_are_brought_to_the_models(make_model, kind):
    x = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(kind)
    rows = as_rows((x, x[:, :2]), make_model())
    assert rows.x.dtype == np.float64
    assert rows.y.dtype == (np.float64 if kind.startswith("f") else kind)
    np.testing.assert_array_equal(rows.x, x)
    cr.fit(make_model(), (x, x[:, :2]), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=1)


def test_lists_and_tensors_are_data_too(make_model, regression, same_state):
    x, y = regression
    models = make_model(), make_model(), make_model()
    for model, data in zip(
        models, [(x, y), [x.tolist(), y.tolist()], (cr.tensor(x), cr.tensor(y))], strict=True
    ):
        cr.fit(model, data, loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=1)
    same_state(models[1].state_dict(), models[0].state_dict())
    same_state(models[2].state_dict(), models[0].state_dict())


def test_the_users_arrays_are_not_changed(make_model, regression):
    x, y = (part.copy() for part in regression)
    cr.fit(make_model(), (x, y), loss=nn.squared_error, optimizer=optim.SGD(0.5), epochs=2)
    np.testing.assert_array_equal(x, regression[0])
    np.testing.assert_array_equal(y, regression[1])
