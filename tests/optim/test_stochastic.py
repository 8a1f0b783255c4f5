"""row B10: with constant steps, noisy gradients leave a noise ball; with steps like 1/t they converge."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim

WIDTH = 500  # independent problems side by side: their mean square is nearly its expectation


def mean_square_distance(lr, steps):
    """E w^2 after descent on w^2 / 2 from w = 1 with standard normal noise on each gradient."""
    noise = np.random.default_rng(0)
    w = cr.tensor(np.ones(WIDTH), requires_grad=True)
    opt = optim.SGD(lr).attach([w])
    for _ in range(steps):
        w.grad = w.detach() + noise.normal(size=WIDTH)
        opt.step()
    return float((w.numpy() ** 2).mean())


@pytest.mark.parametrize("lr", [0.1, 0.5])
def test_constant_steps_leave_a_noise_ball(lr):
    # w <- (1 - lr) w - lr noise has the stationary variance lr / (2 - lr)
    ball = lr / (2 - lr)
    for steps in (200, 800):
        assert mean_square_distance(lr, steps) == pytest.approx(ball, rel=0.25)


def test_steps_like_one_over_t_converge():
    # lr_t = 1 / (t + 1) makes w the mean of the noise so far, of variance 1 / steps
    schedule = optim.InverseTime(1.0, decay=1.0)
    found = [mean_square_distance(schedule, steps) for steps in (50, 200, 800)]
    assert found == pytest.approx([1 / 50, 1 / 200, 1 / 800], rel=0.25)
