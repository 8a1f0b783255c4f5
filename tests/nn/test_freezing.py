"""Frozen parameters: eager, compiled and in fit they stay as they are, bit for bit, and can be trained later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import GradientError, SettingError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = np.tanh(X @ [1.0, -2.0, 0.5]).astype(np.float32)[:, None]

OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "sgd": lambda: optim.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1, decay_biases=True),
    "rmsprop": lambda: optim.RMSprop(0.01, momentum=0.9, weight_decay=0.1),
    "adagrad": lambda: optim.Adagrad(0.05, weight_decay=0.1),
    "adam": lambda: optim.Adam(0.01, amsgrad=True, weight_decay=0.1),
    "adamw": lambda: optim.AdamW(0.01, weight_decay=0.5),
    "nadam": lambda: optim.NAdam(0.01, weight_decay=0.1, decoupled_weight_decay=True),
}


def network() -> nn.Sequential:
    """A body with batch normalisation and dropout, and a head."""
    body = nn.Sequential(nn.Linear(3, 6, seed=1), nn.BatchNorm1d(6), nn.Dropout(0.3, seed=2), nn.Tanh())
    return nn.Sequential(body, nn.Linear(6, 1, seed=3))


def freeze(module: nn.Module, frozen: bool = True) -> None:
    for parameter in module.parameters():
        parameter.requires_grad = not frozen


def step_of(model: nn.Module, optimizer: optim.Optimizer) -> Callable[[Any, Any], Any]:
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.squared_error(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def train(how: str, model: nn.Module, optimizer: optim.Optimizer, steps: int = 4) -> None:
    if how in ("fit", "interpreted"):
        executor = "compiled" if how == "fit" else "interpreted"
        cr.fit(
            model,
            (X, Y),
            loss=nn.squared_error,
            optimizer=optimizer,
            epochs=steps,
            progress=False,
            executor=executor,
        )
        return
    model.train()
    if not optimizer.parameters:
        optimizer.attach(model)
    step = step_of(model, optimizer)
    step = cr.compile(step) if how == "compiled" else step
    for _ in range(steps):
        step(X, Y)


@pytest.mark.parametrize("how", ["eager", "compiled", "fit", "interpreted"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_parts_stay_and_the_rest_is_trained(name: str, how: str) -> None:
    model = network()
    optimizer = OPTIMIZERS[name]()
    train(how, model, optimizer)  # leaves momentum and moments behind
    freeze(model[0])
    before = model.state_dict()
    train(how, model, optimizer)
    after = model.state_dict()
    for key in before:
        same = np.array_equal(before[key], after[key])
        assert same == key.startswith("0."), key  # running moments and dropout's counter too
    freeze(model[0], False)
    train(how, model, optimizer)
    last = model.state_dict()
    assert not any(np.array_equal(after[key], last[key]) for key in last if "weight" in key)


def test_a_leftover_gradient_does_not_move_what_is_frozen() -> None:
    model = nn.Linear(3, 1, seed=0)
    optimizer = optim.SGD(0.1, momentum=0.9).attach(model)
    nn.squared_error(model(X), Y).backward()
    model.weight.requires_grad = False
    before = model.weight.numpy().copy()
    optimizer.step()
    assert np.array_equal(model.weight.numpy(), before)


def test_state_waits_while_a_parameter_is_frozen() -> None:
    """Frozen for some steps and trained again: as if the frozen steps had only trained the rest."""
    model = nn.Linear(3, 1, seed=0)
    optimizer = optim.SGD(0.1, momentum=0.9).attach(model)
    step = step_of(model, optimizer)
    step(X, Y)
    velocity = optimizer.state[0]["velocity"].numpy().copy()
    model.weight.requires_grad = False
    step(X, Y)
    assert np.array_equal(optimizer.state[0]["velocity"].numpy(), velocity)
    model.weight.requires_grad = True
    before, gradient = model.weight.numpy().copy(), None
    optimizer.zero_grad()
    nn.squared_error(model(X), Y).backward()
    gradient = model.weight.grad.numpy()
    optimizer.step()
    np.testing.assert_allclose(model.weight.numpy(), before - 0.1 * (0.9 * velocity + gradient), rtol=1e-6)


def test_frozen_from_the_start_then_trained() -> None:
    model = network()
    freeze(model[0])
    optimizer = optim.Adam(0.01).attach(model)
    train("eager", model, optimizer)
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None} == {"1"}
    freeze(model[0], False)
    before = model[0][0].weight.numpy().copy()
    train("eager", model, optimizer)
    assert not np.array_equal(model[0][0].weight.numpy(), before)


def test_restarts_keep_frozen_values_and_draw_the_rest() -> None:
    alone = network()
    freeze(alone[0])
    body = {k: v for k, v in alone.state_dict().items() if k.startswith("0.")}
    history = cr.fit(
        alone, (X, Y), loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=3, restarts=3, progress=False
    )
    states = [replica.state for replica in history.replicas]
    for state in states:
        assert all(np.array_equal(state[k], v) for k, v in body.items())
    assert not np.array_equal(states[0]["1.weight"], states[1]["1.weight"])


def test_initialise_draws_the_same_for_the_rest_whatever_is_frozen() -> None:
    free, half = network(), network()
    freeze(half[0])
    kept = half[0].state_dict()
    free.initialise(7), half.initialise(7)
    assert np.array_equal(free[1].weight.numpy(), half[1].weight.numpy())
    assert all(np.array_equal(v, kept[k]) for k, v in half[0].state_dict().items())


def test_a_checkpoint_with_frozen_parameters_resumes(tmp_path: Path) -> None:
    def run(epochs: int, resume: bool) -> nn.Module:
        model = network()
        freeze(model[0])
        cr.fit(
            model, (X, Y), loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=epochs, batch_size=7,
            progress=False, checkpoint=tmp_path / "run.safetensors", resume=resume,
        )  # fmt: skip
        return model

    run(2, False)
    resumed = run(5, True).state_dict()
    straight = run(5, False).state_dict()
    assert all(np.array_equal(resumed[k], v) for k, v in straight.items())


def test_lbfgs_leaves_frozen_parameters_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=1))
    freeze(model[0])
    before = model.state_dict()
    cr.fit(model, (X, Y), loss=nn.squared_error, optimizer=optim.LBFGS(max_iterations=20), progress=False)
    after = model.state_dict()
    assert [np.array_equal(before[k], after[k]) for k in before] == [True, True, False, False]


def test_frozen_parts_compute_as_at_inference() -> None:
    model = network()
    freeze(model[0])
    model.train()
    assert model.training and not model[0].training and not model[0][1].training
    assert np.array_equal(model(X).numpy(), model(X).numpy())  # nothing is dropped
    freeze(model[0], False)
    model.train()
    assert model[0][1].training


def test_a_frozen_bias_alone_changes_no_mode() -> None:
    model = network()
    model[0][0].bias.requires_grad = False
    model.train()
    assert all(module.training for _, module in model.named_modules())


def test_everything_frozen_is_an_error() -> None:
    model = nn.Linear(3, 1, seed=0)
    freeze(model)
    with pytest.raises((GradientError, SettingError)):
        cr.fit(model, (X, Y), loss=nn.squared_error, optimizer=optim.SGD(0.1), progress=False)
    with pytest.raises(GradientError, match="frozen"):
        optim.SGD(0.1).attach(model).step()


def test_two_steps_with_frozen_scales() -> None:
    model = nn.Sequential(
        nn.Linear(3, 4, seed=0), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)
    )
    freeze(model[1])
    before = model[1].state_dict()
    cr.fit(
        model,
        (X, Y),
        loss=nn.squared_error,
        optimizer=optim.SGD(0.1),
        epochs=2,
        update="two-step",
        progress=False,
    )
    assert all(np.array_equal(v, before[k]) for k, v in model[1].state_dict().items())


@pytest.mark.peers
def test_frozen_training_equals_torch() -> None:
    import torch

    mine = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=1))
    theirs = cr.to_torch(mine)
    freeze(mine[0])
    for parameter in theirs[0].parameters():
        parameter.requires_grad_(False)
    step = step_of(mine, optim.Adam(0.05, weight_decay=0.1, decay_biases=True).attach(mine))
    optimizer = torch.optim.Adam(theirs.parameters(), 0.05, weight_decay=0.1)
    for _ in range(5):
        step(X, Y)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
        optimizer.step()
    for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(own.numpy(), other.detach().numpy(), rtol=1e-5, atol=1e-6)
