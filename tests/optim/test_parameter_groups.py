"""Groups: each parameter is updated by its part's optimizer, as that optimizer alone would do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError

X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = np.tanh(X.sum(1, keepdims=True))


def network() -> Any:
    return nn.Sequential(nn.Linear(3, 5, seed=0), nn.Tanh(), nn.Linear(5, 1, seed=1))


def by_hand(model: Any, optimizers: list[optim.Optimizer], steps: int) -> None:
    """The reference: single optimizers, one after the other, on the same gradients."""
    for _ in range(steps):
        model.zero_grad()
        nn.squared_error(model(X), Y).backward()
        for optimizer in optimizers:
            optimizer.step()


def same(a: Any, b: Any) -> None:
    for own, other in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["eager", "compiled", "fit", "interpreted"])
def test_each_part_is_updated_by_its_own_optimizer(how: str) -> None:
    model, reference = network(), network()
    first, last = reference[0].parameters(), reference[2].parameters()
    alone = [optim.SGD(0.05, momentum=0.9, weight_decay=0.1).attach(first), optim.Adam(0.01).attach(last)]
    by_hand(reference, alone, 6)
    opt = optim.groups({"0": optim.SGD(0.05, momentum=0.9, weight_decay=0.1), "*": optim.Adam(0.01)})
    if how in ("fit", "interpreted"):
        executor = "compiled" if how == "fit" else "interpreted"
        cr.fit(
            model, (X, Y), loss=nn.squared_error, optimizer=opt, epochs=6, batch_size=24, shuffle=False,
            progress=False, executor=executor,
        )  # fmt: skip
    else:
        opt.attach(model)

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = nn.squared_error(model(x), y)
            loss.backward()
            opt.step()
            return loss

        step = cr.compile(step) if how == "compiled" else step
        for _ in range(6):
            step(X, Y)
    same(model, reference)


def test_parts_by_pattern_module_and_parameter() -> None:
    model = network()
    opt = optim.groups(
        {model[2].weight: optim.SGD(1), "*.bias": optim.SGD(2), model[0]: optim.SGD(3)}
    ).attach(model)
    assert opt.members() == [["2.weight"], ["0.bias", "2.bias"], ["0.weight"]]


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"0": optim.SGD(0.1)}, r"2\.weight belongs to no part"),
        ({"*": optim.SGD(0.1), "0": optim.SGD(0.1)}, "no parameter belongs to 0"),
        ({"*": None}, "has no optimizer"),
        ({"*": optim.SGD([0.1, 0.2])}, "has no optimizer"),
        ({"*": optim.LBFGS()}, "has no optimizer"),
        ({3: optim.SGD(0.1)}, "a pattern, a module or a parameter"),
        ({}, "no parts"),
        ({"*": optim.groups({"*": optim.SGD(0.1)})}, "has no optimizer"),
    ],
)
def test_bad_parts(parts: Any, match: str) -> None:
    with pytest.raises(SettingError, match=match):
        optim.groups(parts).attach(network())


def test_one_optimizer_for_two_parts_is_refused() -> None:
    shared = optim.SGD(0.1)
    with pytest.raises(SettingError, match="for two parts"):
        optim.groups({"0": shared, "*": shared})


def test_state_travels_by_name() -> None:
    model = network()
    make = lambda: optim.groups({"0": optim.SGD(0.05, momentum=0.9), "*": optim.Adam(0.01)})
    opt = make().attach(model)
    by_hand(model, [opt], 3)
    twin, state = network(), opt.state_dict()
    twin.load_state_dict(model.state_dict())
    other = make().attach(twin)
    other.load_state_dict(state)
    by_hand(model, [opt], 2)
    by_hand(twin, [other], 2)
    same(model, twin)


def test_frozen_parts_and_groups() -> None:
    model = network()
    for p in model[0].parameters():
        p.requires_grad = False
    before = model[0].state_dict()
    opt = optim.groups({"0": optim.Adam(0.1), "2": optim.Adam(0.1)})
    cr.fit(model, (X, Y), loss=nn.squared_error, optimizer=opt, epochs=2, progress=False)
    assert all(np.array_equal(v, before[k]) for k, v in model[0].state_dict().items())


def test_a_schedule_for_each_part_and_a_python_function() -> None:
    model, reference = network(), network()
    rates = optim.StepDecay(0.1, 0.5, 2), lambda step: 0.1 / (1 + step)
    alone = [optim.SGD(r).attach(reference[i].parameters()) for r, i in zip(rates, (0, 2), strict=True)]
    by_hand(reference, alone, 5)
    opt = optim.groups({"0": optim.SGD(rates[0]), "2": optim.SGD(rates[1])})
    history = cr.fit(
        model,
        (X, Y),
        loss=nn.squared_error,
        optimizer=opt,
        epochs=5,
        batch_size=24,
        shuffle=False,
        progress=False,
    )
    same(model, reference)
    np.testing.assert_allclose(history.lr[0], [0.1, 0.1, 0.05, 0.05, 0.025])
    assert history.optimizer["0"]["name"] == "SGD" and opt.parts()[0].parameters == []  # a description


def test_a_plateau_lowers_every_rate() -> None:
    seen = []
    opt = optim.groups({"0": optim.SGD(0.4), "2": optim.SGD(0.2)})
    cr.fit(
        network(), (X, Y), loss=nn.squared_error, optimizer=opt, epochs=3, progress=False,
        callbacks=[
            cr.ReduceOnPlateau(factor=0.5, patience=1, min_delta=1e9),
            lambda epoch: seen.append([float(part.base_rate.numpy()) for part in epoch.optimizer.parts()]),
        ],
    )  # fmt: skip
    assert seen[-1][0] < 0.4 and seen[-1][1] == seen[-1][0] / 2


def test_restarts_and_checkpoints(tmp_path: Path) -> None:
    def run(**more: Any) -> Any:
        model = network()
        opt = optim.groups({"*.bias": optim.SGD(0.05, momentum=0.9), "*": optim.NAdam(0.01)})
        history = cr.fit(
            model, (X, Y), loss=nn.squared_error, optimizer=opt, batch_size=7, progress=False, **more
        )
        return history, model.state_dict()

    file = tmp_path / "run.safetensors"
    run(epochs=2, checkpoint=file)
    _, resumed = run(epochs=4, checkpoint=file, resume=True)
    _, straight = run(epochs=4)
    assert all(np.array_equal(resumed[k], v) for k, v in straight.items())
    one, _ = run(epochs=3, restarts=2, threads=1)
    two, _ = run(epochs=3, restarts=2, threads=2)
    assert np.array_equal(one.loss, two.loss)


def test_two_steps_with_groups() -> None:
    def train(optimizer: Any) -> Any:
        model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.BatchNorm1d(4), nn.Linear(4, 1, seed=1))
        cr.fit(
            model,
            (X, Y),
            loss=nn.squared_error,
            optimizer=optimizer,
            epochs=3,
            update="two-step",
            progress=False,
        )
        return model

    single = train(optim.SGD(0.05, momentum=0.9))
    parts = train(optim.groups({"0": optim.SGD(0.05, momentum=0.9), "*": optim.SGD(0.05, momentum=0.9)}))
    same(single, parts)


def test_a_rate_for_all_parts_is_refused() -> None:
    opt = optim.groups({"*": optim.SGD(0.1)})
    assert opt.lr == 0.1
    with pytest.raises(SettingError, match="of its own"):
        opt.lr = 0.2


@pytest.mark.peers
def test_groups_equal_torch() -> None:
    import torch

    mine = network()
    theirs = cr.to_torch(mine)
    opt = optim.groups(
        {
            "0": optim.AdamW(0.05, decay_biases=True),
            "2": optim.AdamW(0.01, weight_decay=0.3, decay_biases=True),
        }
    )
    by_hand(mine, [opt.attach(mine)], 4)
    optimizer = torch.optim.AdamW(
        [
            {"params": theirs[0].parameters(), "lr": 0.05},
            {"params": theirs[2].parameters(), "lr": 0.01, "weight_decay": 0.3},
        ]
    )
    for _ in range(4):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
        optimizer.step()
    for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(own.numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-6)
