import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr
from chainrule import optim
from chainrule.errors import SettingError
from chainrule.trace import tracing

# squares of these overflow or vanish in float32, but not in the norm
FLOATS = st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30)
GRADIENTS = st.lists(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=2, max_side=4), elements=FLOATS),
    min_size=1,
    max_size=4,
)
LIMITS = st.floats(1e-3, 1e3)


def with_gradients(arrays):
    parameters = []
    for array in arrays:
        p = cr.tensor(np.zeros_like(array), requires_grad=True)
        p.grad = cr.tensor(array)
        parameters.append(p)
    return parameters


def flat(parameters):
    return np.concatenate([p.grad.numpy().ravel().astype(np.float64) for p in parameters])


def test_lecture_example():
    # row E30
    (w,) = with_gradients([np.array([3.0, -4.0])])
    assert optim.clip_norm([w], 1.0).item() == 5.0
    np.testing.assert_allclose(w.grad.numpy(), [0.6, -0.8], rtol=1e-15)


@settings(deadline=None, max_examples=150)
@given(GRADIENTS, LIMITS)
def test_clipped_norm_and_direction(arrays, limit):
    parameters = with_gradients(arrays)
    before = flat(parameters)
    norm = optim.clip_norm(parameters, limit)
    assert norm.dtype == np.float64
    np.testing.assert_allclose(norm.item(), np.sqrt((before**2).sum()), rtol=1e-12)
    after = flat(parameters)
    if norm.item() <= limit:
        np.testing.assert_array_equal(after, before)
    else:
        np.testing.assert_allclose(np.sqrt((after**2).sum()), limit, rtol=1e-6)
        np.testing.assert_allclose(after, before * (limit / norm.item()), rtol=1e-6, atol=1e-37)


@settings(deadline=None, max_examples=50)
@given(GRADIENTS, LIMITS)
def test_clipping_twice_is_clipping_once(arrays, limit):
    parameters = with_gradients(arrays)
    optim.clip_norm(parameters, limit)
    once = flat(parameters)
    optim.clip_norm(parameters, limit)
    np.testing.assert_allclose(flat(parameters), once, rtol=1e-6)


@settings(deadline=None, max_examples=50)
@given(GRADIENTS, LIMITS)
def test_clipped_values(arrays, limit):
    parameters = with_gradients(arrays)
    before = flat(parameters)
    optim.clip_value(parameters, limit)
    np.testing.assert_array_equal(flat(parameters), np.clip(before, -np.float32(limit), np.float32(limit)))


def test_zero_gradients_stay_zero():
    parameters = with_gradients([np.zeros(3, np.float32), np.zeros((2, 2), np.float32)])
    assert optim.clip_norm(parameters, 1e-3).item() == 0.0
    np.testing.assert_array_equal(flat(parameters), 0.0)


def test_non_finite_gradients_are_not_hidden():
    for bad in (np.nan, np.inf):
        (w,) = with_gradients([np.array([1.0, bad])])
        assert not np.isfinite(optim.clip_norm([w], 1.0).item())
        assert not np.isfinite(w.grad.numpy()).all()


def test_parameters_without_gradient_and_of_two_dtypes():
    parameters = with_gradients([np.array([3.0], np.float32), np.array([4.0], np.float64)])
    idle = cr.tensor([1.0], requires_grad=True)
    assert optim.gradient_norm([idle]).item() == 0.0
    assert optim.clip_norm([*parameters, idle], 1.0).item() == 5.0
    assert idle.grad is None
    assert [p.grad.dtype for p in parameters] == [np.float32, np.float64]
    np.testing.assert_allclose(flat(parameters), [0.6, 0.8], rtol=1e-7)


def test_generators_of_parameters_are_welcome():
    parameters = with_gradients([np.array([3.0]), np.array([4.0])])
    assert optim.clip_norm((p for p in parameters), 1.0).item() == 5.0
    np.testing.assert_allclose(flat(parameters), [0.6, 0.8], rtol=1e-15)


@pytest.mark.parametrize("clip", [optim.clip_norm, optim.clip_value])
def test_eager_equals_traced_and_the_trace_gives_gradients_back(network, traced, clip):
    runs = []
    for graph in (False, True):
        parameters, loss = network()
        opt = optim.SGD(0.1, momentum=0.9).attach(parameters)

        def step(parameters=parameters, loss=loss, opt=opt):
            opt.zero_grad()
            loss().backward()
            clip(parameters, 0.1)
            opt.step()

        step = traced(step) if graph else step
        for _ in range(10):
            step()
        runs.append([p.numpy().copy() for p in parameters])
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradient_from_before_a_trace_is_back_after_it():
    (w,) = with_gradients([np.array([3.0, -4.0])])
    before = w.grad
    with tracing():
        optim.clip_norm([w], 1.0)
        optim.clip_value([w], 1.0)
        assert w.grad is not before
    assert w.grad is before


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf"), "1", None])
def test_limits_out_of_range(limit):
    (w,) = with_gradients([np.ones(2)])
    for clip in (optim.clip_norm, optim.clip_value):
        with pytest.raises(SettingError):
            clip([w], limit)
