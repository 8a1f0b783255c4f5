"""fit is the loop that a user would write: the same numbers, bit for bit."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn.modes import at_inference
from chainrule.ops.record import Form
from chainrule.training.batches import epoch_orders
from chainrule.training.executors import InterpretedStep
from chainrule.training.step import (
    Objective,
    Step,
    gradient_step,
    training_step,
)

pytestmark = pytest.mark.usefixtures("by_interpreter")

OPTIMIZERS = [
    optim.SGD(0.1),
    optim.SGD(0.1, momentum=0.9),
    optim.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
    optim.RMSprop(0.01),
    optim.Adagrad(0.1),
    optim.Adam(0.01),
    optim.Adam(0.01, weight_decay=1e-2),
    optim.AdamW(0.01),
    optim.NAdam(0.01),
]
SCHEDULES = [
    optim.InverseTime(0.2, decay=0.1),
    optim.StepDecay(0.2, factor=0.5, every=4),
    optim.CosineDecay(0.2, steps=10),
    optim.Warmup(0.2, steps=5),
    optim.OneCycle(0.3, steps=12),
    lambda step: 0.2 / (1.0 + step),  # made of tensor operations: traced
    lambda step: 0.2 if int(step) % 3 else 0.05,  # opaque: tabulated
]


@pytest.fixture
def check_equal(make_model, regression, train_by_hand, same_state):
    """Train by hand and by fit, from the same parameters; all bits must agree."""

    def check(optimizer, *, loss=nn.squared_error, data=regression, make=make_model, **settings):
        by_hand, by_fit = make(), make()
        losses = train_by_hand(
            by_hand, data, loss=loss, optimizer=optimizer, epochs=3, batch_size=16, **settings
        )
        history = cr.fit(
            by_fit, data, loss=loss, optimizer=optimizer, epochs=3, batch_size=16, seed=0, **settings
        )
        same_state(by_fit.state_dict(), by_hand.state_dict())
        assert history.steps == sum(map(len, losses))
        sizes = [16] * (len(losses[0]) - 1) + [len(data[0]) - 16 * (len(losses[0]) - 1)]
        np.testing.assert_allclose(
            history.loss[0], [np.average(e, weights=sizes) for e in losses], rtol=1e-14
        )
        return history

    return check


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_every_optimizer(check_equal, optimizer):
    check_equal(optimizer)


@pytest.mark.parametrize("lr", SCHEDULES, ids=lambda lr: type(lr).__name__)
def test_schedules(check_equal, lr):
    check_equal(optim.SGD(lr, momentum=0.5))


def test_an_opaque_schedule_is_asked_for_every_step(make_model, regression):
    asked = []

    def lr(step):
        asked.append(int(step))
        return 0.1

    cr.fit(make_model(), regression, loss=nn.squared_error, optimizer=optim.SGD(lr), epochs=2, batch_size=20)
    assert asked == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "settings",
    [{"penalty": nn.l2(0.1)}, {"penalty": nn.l1(0.1)}, {"clip_norm": 0.05}, {"clip_norm": 1e9}],
    ids=["l2", "l1", "clipped", "not clipped"],
)
def test_penalty_and_clipping(check_equal, settings):
    check_equal(optim.Adam(0.01), **settings)


def test_float32_dropout_and_batch_norm_together(check_equal, make_model, regression):
    def make():
        return make_model(dtype=np.float32, dropout=0.3, batch_norm=True, activation="relu")

    x, y = regression
    check_equal(optim.Adam(0.01), data=(x.astype("f"), y.astype("f")), make=make, penalty=nn.l2(1e-3))
    trained, fresh = make(), make()
    cr.fit(trained, (x, y), loss=nn.squared_error, optimizer=optim.SGD(0.0), epochs=1, batch_size=16)
    changed = {
        name for name, value in fresh.state_dict().items() if (trained.state_dict()[name] != value).any()
    }
    # a step of size 0 leaves the parameters, but the moments and the random counter have moved on
    assert changed == {"1.running_mean", "1.running_var", "3.counter"}


def test_labels_and_cross_entropy(check_equal, make_model, classes):
    check_equal(
        optim.Adam(0.01), loss=nn.cross_entropy, data=classes, make=lambda: make_model(widths=(4, 8, 3))
    )


def test_reported_losses_are_without_the_penalty(make_model, regression):
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.0), "epochs": 1, "batch_size": 50}
    plain = cr.fit(make_model(), regression, **settings)
    penalised = cr.fit(make_model(), regression, penalty=nn.l2(10.0), **settings)
    np.testing.assert_array_equal(penalised.loss, plain.loss)
    assert penalised.gradient_norm[0, 0] > 2 * plain.gradient_norm[0, 0]  # it is part of what is minimised


def test_gradient_norm_is_that_before_clipping(make_model, regression):
    model = make_model()
    nn.squared_error(model(regression[0]), regression[1]).backward()
    expected = optim.gradient_norm(model.parameters()).item()
    history = cr.fit(
        make_model(),
        regression,
        loss=nn.squared_error,
        optimizer=optim.SGD(0.1),
        epochs=1,
        batch_size=50,
        clip_norm=1e-3,
        shuffle=False,
    )
    assert history.gradient_norm[0, 0] == pytest.approx(expected, rel=1e-12)


def test_all_parameters_are_updated_from_the_previous_ones():
    """row B18: W sees the old V. Swapping two tensors in one step needs both old values."""
    a, b = cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0])
    x = cr.tensor([0.0])
    run = InterpretedStep(Step((x.node,), (), ((a, a.node, b.node), (b, b.node, a.node))))
    run(np.zeros(1, np.float32))
    np.testing.assert_array_equal(a.numpy(), [3, 4])
    np.testing.assert_array_equal(b.numpy(), [1, 2])


def test_a_step_does_not_write_what_it_has_yet_to_read():
    """An update whose value looks into another tensor's buffer."""
    a, b = cr.tensor([[1.0, 2.0]]), cr.tensor([[3.0], [4.0]])
    updates = (a, a.node, cr.transpose(b).node), (b, b.node, cr.transpose(a).node)
    run = InterpretedStep(Step((), (), updates))
    run()
    np.testing.assert_array_equal(a.numpy(), [[3, 4]])
    np.testing.assert_array_equal(b.numpy(), [[1], [2]])


def test_minibatch_means_average_to_the_full_gradient(make_model, regression):
    """row D8: with equal sizes, the mean over all minibatches is the full gradient."""
    model = make_model()
    x, y = regression
    objective = Objective(model=model, loss=nn.squared_error, penalty=nn.l2(0.1))

    def gradient(rows):
        forms = Form(x[rows].shape, x.dtype), Form(y[rows].shape, y.dtype)
        return InterpretedStep(gradient_step(objective, forms))(x[rows], y[rows])

    full = gradient(np.arange(50))
    parts = [gradient(rows) for rows in epoch_orders(50, 10, shuffle=True, drop_last=False, key=(0, 0, 0))[0]]
    for whole, *shares in zip(full, *parts, strict=True):
        np.testing.assert_allclose(np.mean(shares, axis=0), whole, rtol=1e-12, atol=1e-15)


def test_a_sum_over_the_minibatch_is_lecture_bs_convention(make_model, regression, same_state):
    """row B21: the sum of a minibatch's gradients is B times their mean."""

    def total(prediction, target):
        return nn.half_squared_error(prediction, target, "sum")

    def mean(prediction, target):
        return 10.0 * nn.half_squared_error(prediction, target, "batchmean")

    models = make_model(), make_model()
    for model, loss in zip(models, (total, mean), strict=True):
        cr.fit(model, regression, loss=loss, optimizer=optim.SGD(0.01), epochs=2, batch_size=10)
    for name, value in models[0].state_dict().items():
        np.testing.assert_allclose(models[1].state_dict()[name], value, rtol=1e-10, atol=1e-13)


def test_tracing_leaves_model_and_optimizer_as_they_were(make_model, same_state):
    model, optimizer = make_model(dropout=0.5, batch_norm=True), optim.Adam(0.1)
    optimizer.attach(model)
    before, nodes = model.state_dict(), [p.node for p in model.parameters()]
    forms = Form((4, 3), np.dtype("f8")), Form((4, 2), np.dtype("f8"))
    step = training_step(Objective(model=model, loss=nn.squared_error), optimizer, 1.0, forms)
    same_state(model.state_dict(), before)
    assert [p.node for p in model.parameters()] == nodes
    assert all(p.grad is None for p in model.parameters())
    assert optimizer.state_dict()["steps"] == 0
    assert {id(tensor) for tensor, _, _ in step.updates} >= {id(p) for p in model.parameters()}


def test_at_inference_restores_every_mode(make_model):
    model = make_model(dropout=0.5)
    layers = list(model)
    layers[0].training, layers[1].training, layers[2].training = True, False, True
    before = [layer.training for layer in layers]
    with at_inference(model):
        assert not any(layer.training for layer in layers)
    assert [layer.training for layer in layers] == before


def test_the_users_optimizer_is_only_a_description(make_model, regression, same_state):
    model, other = make_model(), make_model(1)
    opt = optim.Adam(optim.InverseTime(0.1, decay=0.1)).attach(other)
    nn.squared_error(other(regression[0]), regression[1]).backward()
    opt.step()
    before, others = opt.state_dict(), other.state_dict()
    cr.fit(model, regression, loss=nn.squared_error, optimizer=opt, epochs=2)
    same_state(opt.state_dict(), before)
    same_state(other.state_dict(), others)
    nn.squared_error(other(regression[0]), regression[1]).backward()
    opt.step()  # goes on where it was
    assert opt.state_dict()["steps"] == 2


def test_every_fit_starts_the_optimizer_anew(make_model, regression, same_state):
    settings = {"loss": nn.squared_error, "optimizer": optim.Adam(0.01), "epochs": 1}
    twice, again = make_model(), make_model()
    cr.fit(twice, regression, **settings)
    again.load_state_dict(twice.state_dict())
    cr.fit(twice, regression, **settings)
    cr.fit(again, regression, **(settings | {"optimizer": optim.Adam(0.01)}))
    same_state(twice.state_dict(), again.state_dict())
