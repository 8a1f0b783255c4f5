from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import DataError, GradientError, SettingError, ShapeError

RNG = np.random.default_rng(0)
P, T = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
ELEMENTWISE = {
    nn.squared_error: (P - T) ** 2,
    nn.half_squared_error: (P - T) ** 2 / 2,
    nn.absolute_error: np.abs(P - T),
    nn.huber: np.where(np.abs(P - T) <= 1, (P - T) ** 2 / 2, np.abs(P - T) - 0.5),
}


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda loss: loss.__name__)
def test_reductions(loss):
    expected = ELEMENTWISE[loss]
    np.testing.assert_allclose(loss(P, T, "none").numpy(), expected, rtol=1e-13)
    assert loss(P, T).item() == pytest.approx(expected.mean())
    assert loss(P, T, reduction="sum").item() == pytest.approx(expected.sum())
    assert loss(P, T, "batchmean").item() == pytest.approx(expected.sum() / 4)
    with pytest.raises(SettingError, match="'mean'"):
        loss(P, T, "means")


def test_huber_is_smooth_where_the_parabola_ends():
    r, slope = cr.value_and_grad(lambda p: nn.huber(p, np.zeros(4), "sum", delta=2.0))(
        np.array([1, 2, 3, -5.0])
    )
    assert r.item() == pytest.approx(0.5 + 2.0 + 4.0 + 8.0)
    np.testing.assert_array_equal(slope.numpy(), [1.0, 2.0, 2.0, -2.0])


def test_every_lectures_convention(golden):
    # erratum 24, row A6, B7, B21, D2, D8: with the golden batch of the logistic neuron
    case = golden["BD_minibatch_and_loss_conventions"]
    x, y = np.array(case["inputs"]["X_with_x0"]), np.array(case["inputs"]["y"])
    w = np.array(case["inputs"]["w"])
    expected = case["expected"]["full_grad"]

    def gradient(loss, rows=slice(None)):
        return cr.grad(lambda v: loss(cr.logistic(cr.tensor(x[rows]) @ v), y[rows]))(w).numpy()

    names = {
        "sum_half_sq_doc001": partial(nn.half_squared_error, reduction="sum"),
        "sum_sq_doc000": partial(nn.squared_error, reduction="sum"),
        next(k for k in expected if k.startswith("mean_sq")): nn.squared_error,
    }
    for name, loss in names.items():
        np.testing.assert_allclose(gradient(loss), expected[name], rtol=1e-10)
    pairs = case["expected"]["pairs"]
    for pair, wanted in zip(pairs, case["expected"]["minibatch_sum_grads"], strict=True):
        got = gradient(partial(nn.half_squared_error, reduction="sum"), pair)
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-14)
    means = [gradient(nn.half_squared_error, pair) for pair in pairs]
    np.testing.assert_allclose(np.mean(means, 0), case["expected"]["mean_over_all_pairs_of_mean"], rtol=1e-10)


def test_batchmean_is_c_and_sum_over_outputs():
    # row C20: delta_L = 2 (g - y), averaged over rows
    gradient = cr.grad(lambda p: nn.squared_error(p, T, "batchmean"))(P).numpy()
    np.testing.assert_allclose(gradient, 2 * (P - T) / 4, rtol=1e-12)
    whole = nn.squared_error(P, T, "batchmean").item()
    assert whole == pytest.approx(np.mean([np.sum((P[i] - T[i]) ** 2) for i in range(4)]))


def test_cross_entropy_golden(golden):
    # row C16 to C19
    case = golden["C_softmax_cross_entropy"]
    z, y = np.array(case["inputs"]["z"]), case["inputs"]["y"]
    wanted = case["expected"]
    assert nn.cross_entropy(z[None], [y]).item() == pytest.approx(wanted["loss"], rel=1e-11)
    by_label = [nn.cross_entropy(z, label).item() for label in range(4)]
    np.testing.assert_allclose(by_label, wanted["loss_by_label"], rtol=1e-11)
    delta = cr.grad(lambda v: nn.cross_entropy(v, y))(z).numpy()
    np.testing.assert_allclose(delta, wanted["delta_L"], rtol=1e-11)
    assert abs(delta.sum()) < 1e-15
    jacobian = cr.jacobian(cr.softmax)(cr.tensor(z)).numpy()
    np.testing.assert_allclose(jacobian, wanted["jacobian"], rtol=1e-10)
    np.testing.assert_allclose(jacobian @ np.array(wanted["dC_dg"]), delta, rtol=1e-10)
    extreme = np.array(case["inputs"]["extreme_z"])
    losses = nn.cross_entropy(np.tile(extreme, (3, 1)), case["inputs"]["extreme_y"], "none")
    np.testing.assert_array_equal(losses.numpy(), wanted["extreme"]["loss"])
    np.testing.assert_array_equal(
        cr.grad(lambda v: nn.cross_entropy(v, 2))(extreme).numpy(), wanted["extreme"]["delta_for_y2"]
    )
    same = wanted["equal_scores"]
    assert nn.cross_entropy(np.array(same["z"]), 1).item() == pytest.approx(same["loss"], rel=1e-11)


def test_reference_class(golden):
    # row C19, erratum 29
    wanted = golden["C_softmax_cross_entropy"]["expected"]
    reduced = np.array(wanted["reference_class"]["z_reduced_minus_z1"])

    def loss(z):
        return nn.cross_entropy(nn.with_reference_class(z), 2)

    assert loss(cr.tensor(reduced)).item() == pytest.approx(wanted["reference_class"]["loss"], rel=1e-11)
    delta = cr.grad(loss)(reduced).numpy()
    np.testing.assert_allclose(delta, wanted["reference_class"]["delta_reduced"], rtol=1e-11)
    probabilities = cr.softmax(nn.with_reference_class(reduced)).numpy()
    assert probabilities[0] == pytest.approx(wanted["reference_class"]["g_1"], rel=1e-11)
    np.testing.assert_allclose(probabilities[1:], wanted["reference_class"]["g_2_to_pL"], rtol=1e-11)


def test_two_classes_are_the_logistic_model(golden):
    given, wanted = (golden["C_softmax_cross_entropy"][k] for k in ("inputs", "expected"))
    z = np.diff(given["two_class_z"])  # the score of class 1 against the reference
    wanted = wanted["two_class"]
    for loss in (
        lambda v: nn.binary_cross_entropy(v, [given["two_class_y"]]),
        lambda v: nn.cross_entropy(nn.with_reference_class(v), given["two_class_y"]),
    ):
        assert loss(cr.tensor(z)).item() == pytest.approx(wanted["loss"], rel=1e-11)
        np.testing.assert_allclose(cr.grad(loss)(z).numpy(), wanted["delta_reduced"], rtol=1e-11)


def test_batch_deltas_sum_to_zero():
    z, y = RNG.normal(size=(6, 4)) * 5, np.array([0, 1, 2, 3, 0, 1])
    delta = cr.grad(lambda v: nn.cross_entropy(v, y, "sum"))(z).numpy()
    softmax = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(delta, softmax - np.eye(4)[y], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(delta.sum(1), 0.0, atol=1e-14)
    mean = cr.grad(lambda v: nn.cross_entropy(v, y))(z).numpy()
    np.testing.assert_allclose(mean, delta / 6, rtol=1e-12)


def test_no_overflow_at_1e4():
    for dtype in (np.float32, np.float64):
        z = np.array([[1e4, -1e4, 0.0]], dtype)
        for label in range(3):
            value, gradient = cr.value_and_grad(lambda v, y=label: nn.cross_entropy(v, [y]))(z)
            assert value.dtype == dtype and np.isfinite(value.item()) and np.isfinite(gradient.numpy()).all()
        binary, slope = cr.value_and_grad(lambda v: nn.binary_cross_entropy(v, [[0, 1, 1]]))(z)
        assert binary.item() == pytest.approx((2e4 + np.log(2)) / 3)
        assert np.isfinite(slope.numpy()).all()


def test_binary_cross_entropy_loses_no_digits():
    z = np.array([40.0, -40.0, 40.0, -40.0])
    y = np.array([1, 0, 0, 1])
    tiny = 4.248354255291589e-18
    losses = nn.binary_cross_entropy(z, y, "none").numpy()
    np.testing.assert_allclose(losses, [tiny, tiny, 40.0, 40.0], rtol=1e-14)
    slopes = cr.grad(lambda v: nn.binary_cross_entropy(v, y, "sum"))(z).numpy()
    np.testing.assert_allclose(slopes, [-tiny, tiny, 1.0, -1.0], rtol=1e-14)
    soft = nn.binary_cross_entropy(np.array([0.3]), [0.25]).item()
    s = 1 / (1 + np.exp(-0.3))
    assert soft == pytest.approx(-0.25 * np.log(s) - 0.75 * np.log(1 - s))


def test_label_smoothing():
    z, y, s = RNG.normal(size=(3, 4)), np.array([1, 0, 3]), 0.2
    target = (1 - s) * np.eye(4)[y] + s / 4
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    got = nn.cross_entropy(z, y, label_smoothing=s).item()
    assert got == pytest.approx(-(target * log_p).sum(1).mean())
    with pytest.raises(SettingError, match="fraction"):
        nn.cross_entropy(z, y, label_smoothing=1.5)


def test_zero_one_is_a_sum_and_piecewise_constant():
    # row A2
    outputs = np.array([0.2, 0.49, 0.5, 0.9])
    y = [0, 1, 1, 0]
    assert nn.zero_one(outputs, y, "sum").item() == 2.0
    assert nn.zero_one(outputs, y).item() == 0.5
    for nudge in (1e-4, -1e-4):  # nobody sits within 1e-4 of the threshold but the tie, which fires
        moved = outputs + np.array([nudge, nudge, abs(nudge), nudge])
        assert nn.zero_one(moved, y, "sum").item() == 2.0
    with pytest.raises(GradientError, match="greater_equal, which has no derivative"):
        nn.zero_one(cr.tensor(outputs, requires_grad=True), y).backward()
    with pytest.raises(GradientError, match="greater_equal, which has no derivative"):
        cr.grad(lambda p: nn.zero_one(p, y))(outputs)


def test_zero_one_for_classes_and_signs():
    z = np.array([[0.1, 2.0, -1.0], [3.0, 3.0, 0.0]])
    np.testing.assert_array_equal(nn.zero_one(z, [1, 1], "none").numpy(), [0.0, 1.0])  # a tie: the first
    # erratum 1: labels of +-1 with outputs in (-1, 1) and threshold 0
    signs = nn.zero_one(np.array([-0.2, 0.4, 0.1]), np.array([1, 1, -1]), "none", threshold=0.0)
    np.testing.assert_array_equal(signs.numpy(), [1.0, 0.0, 1.0])
    # logits against 0/1 labels, as a column
    assert nn.zero_one(np.array([[-0.2], [0.4]]), [0, 1], threshold=0.0).item() == 0.0


def test_zero_one_is_at_most_four_times_the_squared_error(golden):
    # erratum 1, golden A_claim_16_1
    wanted = golden["A_claim_16_1"]["expected"]["threshold_half"]
    outputs, y = np.array([0.4]), [1]
    square = nn.squared_error(outputs, y, "sum").item()
    assert square == pytest.approx(wanted["sq_loss"])
    assert nn.zero_one(outputs, y, "sum").item() == wanted["zero_one"] > square
    assert 4 * square == pytest.approx(wanted["corrected_bound_4L"])


def test_saturated_logistic_net_becomes_the_threshold_net(golden):
    # row A7
    case = golden["A_claim_16_1"]
    given = case["inputs"]["scaling"]
    u = given["w"] * np.array(given["x"]) + given["b"]
    for row in case["expected"]["scaling"]["rows"]:
        loss = nn.squared_error(cr.logistic(row["c"] * u), given["y"], "sum").item()
        assert loss == pytest.approx(row["L_S"], rel=1e-9)


def test_softmax_with_squared_error_needs_the_full_jacobian():
    # row C7: delta_L = J (dC/dg), where J is not diagonal
    z, y = RNG.normal(size=3), np.array([0.0, 1.0, 0.0])
    delta = cr.grad(lambda v: nn.squared_error(cr.softmax(v), y, "sum"))(z).numpy()
    g = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(delta, (np.diag(g) - np.outer(g, g)) @ (2 * (g - y)), rtol=1e-12)


def test_multinomial_logistic_regression():
    # row E17: minimising the sum is maximising the log-likelihood, the sum of log softmax at the labels
    model, x, y = nn.Linear(3, 4, seed=0, dtype=cr.float64), RNG.normal(size=(6, 3)), [0, 3, 1, 2, 2, 0]
    likelihood = cr.log_softmax(model(x)).numpy()[np.arange(6), y].sum()
    assert nn.cross_entropy(model(x), y, "sum").item() == pytest.approx(-likelihood, rel=1e-13)


# Shapes and bad targets


@pytest.mark.parametrize("loss", [*ELEMENTWISE, nn.binary_cross_entropy, nn.zero_one])
def test_a_column_and_a_vector_are_aligned_never_broadcast(loss):
    prediction, target = RNG.normal(size=(5, 1)), RNG.integers(0, 2, 5)
    expected = loss(prediction[:, 0], target, "none").numpy()
    assert expected.shape == (5,)
    np.testing.assert_array_equal(loss(prediction, target, "none").numpy()[:, 0], expected)
    np.testing.assert_array_equal(loss(prediction[:, 0], target[:, None], "none").numpy(), expected)
    for wrong in (target[:1], target[None], np.zeros((5, 2)), 0.0):
        with pytest.raises(ShapeError, match=rf"{loss.__name__}[\s\S]*\[5, 1\]"):
            loss(prediction, wrong)


def test_labels_of_a_loss():
    z = RNG.normal(size=(5, 3))
    with pytest.raises(
        DataError, match=r"integers from 0 to 2[\s\S]*3 in row 1, -1 in row 2, 7 in row 3 and 1"
    ):
        nn.cross_entropy(z, [0, 3, -1, 7, 9])
    with pytest.raises(DataError, match="not integers"):
        nn.cross_entropy(z, np.zeros(5))
    with pytest.raises(DataError, match="not integers"):
        nn.cross_entropy(z, ["a"] * 5)
    with pytest.raises(ShapeError, match="one-hot"):
        nn.cross_entropy(z, np.eye(5, 3, dtype=int))
    with pytest.raises(ShapeError, match="binary_cross_entropy"):
        nn.cross_entropy(z[:, :1], [0] * 5)
    with pytest.raises(DataError, match=r"-1.0 in row 0, -1.0 in row 3[\s\S]*\(y \+ 1\) / 2"):
        nn.binary_cross_entropy(z[:, 0], [-1, 1, 1, -1, 1])
    with pytest.raises(DataError, match="nan in row 1"):
        nn.check_binary_targets([0.0, np.nan])
    with pytest.raises(SettingError, match="delta"):
        nn.huber(P, T, delta=0.0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, np.bool_])
def test_labels_of_any_integer_dtype(dtype):
    z = RNG.normal(size=(4, 300))
    y = np.array([0, 1, 1, 0])
    assert nn.cross_entropy(z, y.astype(dtype)).item() == nn.cross_entropy(z, y).item()
    assert nn.cross_entropy(z, y[:, None].astype(dtype)).item() == nn.cross_entropy(z, y).item()


def test_no_rows():
    assert nn.squared_error(P[:0], T[:0], "sum").item() == 0.0
    assert nn.cross_entropy(P[:0], np.zeros(0, int), "sum").item() == 0.0
    assert np.isnan(nn.squared_error(P[:0], T[:0]).item())


def test_dtypes():
    p32 = cr.tensor(P, dtype=cr.float32)
    for loss in ELEMENTWISE:
        assert loss(p32, T).dtype == np.float32  # an array follows the prediction
        assert loss(P, T.tolist()).item() == loss(P, T).item()  # and so do lists, at full precision
        assert loss(P, np.ones((4, 3), int)).dtype == np.float64
    assert nn.cross_entropy(p32, [0, 1, 2, 0]).dtype == np.float32


@pytest.mark.parametrize("loss", [*ELEMENTWISE, nn.binary_cross_entropy, nn.zero_one])
def test_traced_equals_eager(loss, traced):
    target = RNG.integers(0, 2, (4, 3)) if loss in (nn.binary_cross_entropy, nn.zero_one) else T
    np.testing.assert_array_equal(traced(loss, P, target), loss(P, target).numpy())


def test_traced_cross_entropy(traced):
    y = np.array([0, 2, 1, 1])
    np.testing.assert_array_equal(traced(nn.cross_entropy, P, y), nn.cross_entropy(P, y).numpy())
    np.testing.assert_array_equal(traced(nn.zero_one, P, y), nn.zero_one(P, y).numpy())
    with pytest.raises(DataError, match="not integers"):
        traced(nn.cross_entropy, P, y.astype(float))


def test_ordinary_losses_have_second_derivatives():
    y = np.array([0, 2, 1, 1])
    hessian = cr.hessian(lambda z: nn.cross_entropy(z, y, "sum"))(P).numpy().reshape(12, 12)
    g = cr.softmax(cr.tensor(P)).numpy()
    blocks = np.zeros((12, 12))
    for i in range(4):
        blocks[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = np.diag(g[i]) - np.outer(g[i], g[i])
    np.testing.assert_allclose(hessian, blocks, rtol=1e-9, atol=1e-14)
