import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import SettingError
from chainrule.ops.random import random_bits

ONES = np.ones((200, 100))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p):
    out = nn.Dropout(p, seed=0)(ONES).numpy()
    kept = out != 0
    assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / ONES.size)
    np.testing.assert_allclose(out[kept], 1 / (1 - p))
    # independent along both axes: no row or column stands out
    assert np.abs(kept.mean(0) - (1 - p)).max() < 6 * np.sqrt(p * (1 - p) / 200)
    assert np.abs(kept.mean(1) - (1 - p)).max() < 6 * np.sqrt(p * (1 - p) / 100)


def test_mask_is_random_bits_below_the_threshold():
    layer = nn.Dropout(0.3, seed=4)
    bits = random_bits(layer.seed, cr.tensor(np.uint32(0)), shape=ONES.shape).numpy()
    np.testing.assert_array_equal(layer(ONES).numpy() != 0, bits < round(0.7 * 2**32))


def test_masks_depend_on_seed_and_count_alone():
    a, b, c = nn.Dropout(0.5, seed=0), nn.Dropout(0.5, seed=0), nn.Dropout(0.5, seed=1)
    first, second = a(ONES).numpy(), a(ONES).numpy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(b(ONES).numpy(), first)
    assert not np.array_equal(c(ONES).numpy(), first)
    b(ONES)
    assert a.counter.item() == b.counter.item() == 2
    a.initialise(0)  # back to the first mask
    np.testing.assert_array_equal(a(ONES).numpy(), first)


def test_state_resumes():
    a = nn.Dropout(0.5, seed=0)
    a(ONES)
    b = nn.Dropout(0.5, seed=9)
    b.load_state_dict(a.state_dict())
    np.testing.assert_array_equal(a(ONES).numpy(), b(ONES).numpy())
    assert a.seed.dtype == a.counter.dtype == np.uint32


def test_inference_and_p_zero_are_the_identity():
    x = cr.tensor(ONES)
    for layer in (nn.Dropout(0.5).eval(), nn.Dropout(0.0), nn.Dropout(1e-12)):
        assert layer(x) is x
        assert layer.counter.item() == 0


def test_counter_wraps():
    layer = nn.Dropout(0.5, seed=0)
    layer.counter.assign(cr.tensor(np.uint32(2**32 - 1)))
    layer(ONES)
    assert layer.counter.item() == 0


def test_gradient_passes_where_units_are_kept():
    layer = nn.Dropout(0.25, seed=3)
    x = cr.tensor(ONES, requires_grad=True)
    out = layer(x)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.numpy())


def test_traced_equals_eager(traced):
    eager, graph = nn.Dropout(0.4, seed=1), nn.Dropout(0.4, seed=1)
    for _ in range(2):
        np.testing.assert_array_equal(traced(graph, ONES), eager(ONES).numpy())
        assert graph.counter.item() == eager.counter.item()
    # the same layer twice in one forward pass draws twice
    twice = nn.Sequential(eager, eager)
    other = nn.Sequential(graph, graph)
    np.testing.assert_array_equal(traced(other, ONES), twice(ONES).numpy())
    assert graph.counter.item() == eager.counter.item() == 4


@pytest.mark.parametrize("p", [1.0, -0.1, 1.5, float("nan")])
def test_p_out_of_range(p):
    with pytest.raises(SettingError, match="must be a number >= 0 and < 1"):
        nn.Dropout(p)


def test_nothing_to_drop():
    assert nn.Dropout(0.5, seed=0)(ONES[:0]).shape == (0, 100)


def test_weight_dropout():
    linear = nn.Linear(100, 50, bias_initialiser=nn.initialisers.constant(1.0), seed=0, dtype=cr.float64)
    layer = nn.WeightDropout(linear, 0.5, seed=1)
    x = np.random.default_rng(0).normal(size=(3, 100))
    layer(x).sum().backward()
    gradient = linear.weight.grad.numpy()
    kept = gradient != 0  # a dropped weight has no gradient, so a step leaves it alone
    assert abs(kept.mean() - 0.5) < 5 * np.sqrt(0.25 / kept.size)
    layer.counter.assign(cr.tensor(np.uint32(0)))
    expected = x @ (2 * linear.weight.numpy() * kept).T + 1.0
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), linear(x).numpy())
    assert (linear.bias.grad.numpy() == 3).all()


@pytest.mark.parametrize("p", [1 - 1e-10, 1 - 2**-33, float(np.nextafter(1.0, 0.0))])
def test_a_probability_next_to_one_keeps_the_mean(p):
    """One of 2^32 integers keeps a unit, which is then multiplied by 2^32."""
    layer = nn.Dropout(p, seed=0)
    assert not layer(cr.tensor(np.ones(1000))).numpy().any()
    assert (int(layer._last_kept.values[0]) + 1) * float(layer._scale.values[0]) == 2**32
