"""The search for a learning rate finds one, and leaves everything as it was."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.training import RateCurve


def test_nothing_that_is_passed_in_changes(make_model, regression, same_state):
    model = make_model(dropout=0.1, batch_norm=True).eval()
    optimizer = optim.Adam(0.1).attach(model)
    nn.squared_error(model(regression[0]), regression[1]).backward()
    before, gradients = model.state_dict(), [p.grad for p in model.parameters()]
    state, x = optimizer.state_dict(), regression[0].copy()
    cr.find_lr(model, regression, loss=nn.squared_error, optimizer=optimizer, steps=20, batch_size=16)
    same_state(model.state_dict(), before)
    same_state(optimizer.state_dict(), state)
    assert [p.grad for p in model.parameters()] == gradients or all(
        p.grad is g for p, g in zip(model.parameters(), gradients, strict=True)
    )
    assert not model.training and optimizer.lr == 0.1
    np.testing.assert_array_equal(regression[0], x)


def test_the_steps_are_those_of_the_optimizer(make_model, regression):
    found = cr.find_lr(
        make_model(), regression, loss=nn.squared_error, optimizer=optim.SGD(1.0), steps=10, batch_size=1000,
        lowest=1e-3, highest=1e-2,
    )  # fmt: skip
    model, expected = make_model(), []
    rates = 1e-3 * 10 ** (np.arange(10) / 9)
    for rate in rates:
        optimizer = optim.SGD(float(rate)).attach(model)
        value = nn.squared_error(model(regression[0]), regression[1])
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        expected.append(value.item())
    np.testing.assert_allclose(found.rates, rates)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-9)


def test_it_ends_where_the_loss_grows(make_model, regression):
    found = cr.find_lr(
        make_model(activation="relu"), regression, loss=nn.squared_error, optimizer=optim.SGD(), lowest=1e-4,
        highest=1e4, batch_size=25,
    )  # fmt: skip
    assert 20 < len(found.losses) < 100 and np.isfinite(found.losses).all()
    assert found.rates[0] == 1e-4 < found.lr < found.rates[np.argmin(found.smoothed)]
    assert "lr " in repr(found) and found._repr_html_().startswith("<svg")


def test_the_same_seed_gives_the_same_curve(make_model, regression):
    curves = [
        cr.find_lr(
            make_model(), regression, loss=nn.squared_error, optimizer=optim.Adam(), seed=s, batch_size=8
        )
        for s in (0, 0, 1)
    ]
    assert curves[0].losses.tolist() == curves[1].losses.tolist() != curves[2].losses.tolist()


def test_what_it_suggests_trains(classes):
    model = nn.MLP([4, 16, 3], seed=0)
    found = cr.find_lr(model, classes, loss=nn.cross_entropy, optimizer=optim.Adam(), batch_size=20)
    history = cr.fit(
        model, classes, loss=nn.cross_entropy, optimizer=optim.Adam(found.lr), epochs=30, batch_size=20
    )
    assert history.loss[0, -1] < 0.2 < history.loss[0, 0]


def test_bad_settings(make_model, regression):
    for settings in (
        {"lowest": 1.0, "highest": 0.1},
        {"steps": 1},
        {"steps": 0},
        {"lowest": 0},
        {"optimizer": 3},
    ):
        with pytest.raises(SettingError):
            cr.find_lr(
                make_model(), regression, **({"loss": nn.squared_error, "optimizer": optim.SGD()} | settings)
            )


def test_the_suggestion_is_where_the_loss_falls():
    rates = np.logspace(-5, 1, 100)
    losses = np.where(rates < 1e-3, 2.0, np.where(rates < 1e-1, 2.0 + np.log10(1e-3 / rates) * 0.9, 0.2))
    assert 3e-3 < RateCurve(rates, losses).lr < 0.2
    assert RateCurve(rates[:2], losses[:2]).lr == rates[0]
