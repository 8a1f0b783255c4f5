"""What changes outside while ``fit`` runs counts from the next epoch on, or is refused; never the old code goes on."""

import functools
import os

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import TracingError

ROWS = np.random.default_rng(0).normal(size=(12, 3))
TARGETS = np.sin(ROWS).sum(axis=1, keepdims=True)
EPOCHS = 6
FACTOR = 1.0


class Net(nn.Module):
    def __init__(self):
        self.first, self.last = (
            nn.Linear(3, 4, seed=0, dtype=np.float64),
            nn.Linear(4, 1, seed=1, dtype=np.float64),
        )
        self.norm, self.drop = nn.BatchNorm1d(4, dtype=np.float64), nn.Dropout(0.3, seed=2)
        self.options = {"scale": 1.0, "layers": [cr.tanh]}
        self.shift = np.zeros(4)

    def forward(self, x):
        h = self.first(x)
        for act in self.options["layers"]:
            h = act(h)
        return self.last(self.drop(self.norm(h))) * self.options["scale"] + self.shift.sum()


class Loss:
    def __init__(self):
        self.weight = 1.0

    def __call__(self, prediction, target):
        return nn.squared_error(prediction, target) * self.weight * FACTOR


class Penalty:
    def __init__(self):
        self.strength = 0.01

    def __call__(self, model):
        return (model.first.weight**2).sum() * self.strength


class Parts:
    """All that takes part in a training."""

    def __init__(self):
        self.model, self.loss, self.penalty = Net(), Loss(), Penalty()
        self.schedule = optim.StepDecay(0.05, 0.5, every=2)
        self.optimizer = optim.Adam(self.schedule)

    def eager(self, changes):
        """The losses of a loop by hand."""
        model, losses = self.model, []
        optimizer = optim.Adam(self.schedule).attach(model)
        x, y = cr.tensor(ROWS), cr.tensor(TARGETS)
        model.train()
        for epoch in range(EPOCHS):
            model.zero_grad()
            loss = self.loss(model(x), y)
            (loss + self.penalty(model)).backward()
            optimizer.step()
            losses.append(loss.item())
            changes(self, epoch)
            model.train()
        return losses

    def fit(self, changes, **settings):
        settings = {"executor": "compiled", "batch_size": len(ROWS), **settings}
        history = cr.fit(
            self.model,
            (ROWS, TARGETS),
            loss=self.loss,
            penalty=self.penalty,
            optimizer=self.optimizer,
            epochs=EPOCHS,
            shuffle=False,
            progress=False,
            callbacks=[lambda epoch: changes(self, epoch.number - 1)],
            **settings,
        )
        return history.loss[0]


def set_factor(value):
    globals()["FACTOR"] = value


def assign_halves(model):
    for p in model.parameters():
        p.assign(p.detach() * 0.5)


CHANGES = {
    "dropout's p": lambda parts: setattr(parts.model.drop, "p", 0.0),
    "eps": lambda parts: setattr(parts.model.norm, "eps", 1.0),
    "a setting in a dict": lambda parts: parts.model.options.update(scale=3.0),
    "a list of layers": lambda parts: parts.model.options["layers"].append(cr.relu),
    "an array": lambda parts: parts.model.shift.__iadd__(0.5),
    "the loss": lambda parts: setattr(parts.loss, "weight", 2.0),
    "the penalty": lambda parts: setattr(parts.penalty, "strength", 0.5),
    "a global": lambda parts: set_factor(3.0),
    "a method": lambda parts: setattr(
        parts.model, "forward", lambda x: parts.model.last(parts.model.first(x))
    ),
    "data of a parameter": lambda parts: setattr(parts.model.first.weight, "data", np.ones((4, 3))),
    "written parameters": lambda parts: assign_halves(parts.model),
    "nothing": lambda parts: None,
}


@pytest.fixture(autouse=True)
def factor():
    yield
    set_factor(1.0)


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_callback_that_changes_something(change, executor):
    def changes(parts, epoch):
        if epoch == 2:
            change(parts)

    wanted = Parts().eager(changes)
    set_factor(1.0)
    np.testing.assert_allclose(Parts().fit(changes, executor=executor), wanted, rtol=1e-9)


def test_a_schedule_that_is_changed_between_trainings():
    parts = Parts()
    for p in (0.3, 0.0, 0.6):
        parts.model.drop.p = p
        parts.loss.weight = 1.0 + p
        fresh = Parts()
        fresh.model.drop.p, fresh.loss.weight = p, 1.0 + p
        parts.model.load_state_dict(fresh.model.state_dict())
        np.testing.assert_array_equal(parts.fit(lambda *_: None), fresh.fit(lambda *_: None))


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_the_validation_loss_follows_too(executor):
    loss = Loss()
    found = fitted(
        loss,
        epochs=5,
        lr=0.0,
        executor=executor,
        validation=(ROWS, TARGETS),
        callbacks=[lambda epoch: setattr(loss, "weight", 2.0) if epoch.number == 3 else None],
    )
    np.testing.assert_allclose(found.validation_loss[0, 3:], 2 * found.validation_loss[0, :2])
    np.testing.assert_allclose(found.validation_loss[0, :3], found.loss[0, :3])


def test_steps_are_traced_once_where_nothing_changes(monkeypatch):
    from chainrule.training import trainer

    made = []
    original = trainer.training_step
    monkeypatch.setattr(trainer, "training_step", lambda *given: (made.append(1), original(*given))[1])
    Parts().fit(lambda *_: None)
    assert len(made) == 1


def test_a_change_and_back_compiles_once_for_each(monkeypatch):
    def changes(parts, epoch):
        parts.loss.weight = 1.0 + epoch % 2

    wanted = Parts().eager(changes)
    np.testing.assert_allclose(Parts().fit(changes), wanted, rtol=1e-9)


# What cannot be followed


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "extra", nn.Linear(1, 1)),
        lambda model: setattr(model, "last", nn.Linear(4, 1, dtype=np.float64)),
        lambda model: setattr(model.last, "weight", nn.Linear(4, 1, dtype=np.float64).weight),
        lambda model: setattr(model.last, "bias", None),
        lambda model: setattr(model, "norm", nn.Dropout(0.1)),
    ],
    ids=["added", "replaced", "a parameter", "taken away", "buffers"],
)
def test_other_parameters_on_the_way_are_refused(change):
    with pytest.raises(TracingError, match="other parameters"):
        Parts().fit(lambda parts, epoch: change(parts.model) if epoch == 1 else None)


def test_a_change_in_a_run_of_several_replicas_is_refused():
    with pytest.raises(TracingError, match=r"loss.weight.*several replicas"):
        Parts().fit(
            lambda parts, epoch: setattr(parts.loss, "weight", 2.0) if epoch == 1 else None, restarts=3
        )


def noisy():
    rng = np.random.default_rng(0)

    class Drawing(nn.Module):
        def __init__(self):
            self.linear, self.rng = nn.Linear(3, 1, dtype=np.float64), np.random.default_rng(0)

        def forward(self, x):
            return self.linear(x) + self.rng.normal(size=x.shape)[:, :1]

    def in_the_loss(prediction, target):
        return nn.squared_error(prediction + np.random.normal(size=prediction.shape), target)

    def a_generator(prediction, target):
        return nn.squared_error(prediction * rng.uniform(), target)

    def the_system(prediction, target):
        return nn.squared_error(prediction * os.urandom(1)[0], target)

    def bound(prediction, target, draw=rng.normal):
        return nn.squared_error(prediction * draw(), target)

    linear = functools.partial(nn.Linear, 3, 1, dtype=np.float64)
    return {
        "np.random": (linear, in_the_loss, None),
        "a generator": (linear, a_generator, None),
        "the system": (linear, the_system, None),
        "a default": (linear, bound, None),
        "the model": (Drawing, nn.squared_error, None),
        "the penalty": (linear, nn.squared_error, lambda model: (model.weight**2).sum() * rng.uniform()),
    }


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("name", noisy())
def test_noise_of_numpy_is_refused(name, executor):
    model, loss, penalty = noisy()[name]
    with pytest.raises(TracingError, match="not the same each time") as caught:
        cr.fit(
            model(),
            (ROWS, TARGETS),
            loss=loss,
            penalty=penalty,
            optimizer=optim.SGD(0.1),
            executor=executor,
            progress=False,
        )
    assert __file__ in str(caught.value)
    assert "nn.Dropout" in str(caught.value)


def fitted(loss=nn.squared_error, model=None, lr=0.1, **settings):
    model = model or nn.Linear(3, 1, seed=0, dtype=np.float64)
    return cr.fit(model, (ROWS, TARGETS), loss=loss, optimizer=optim.SGD(lr), progress=False, **settings)


def test_a_loss_that_counts_in_python_is_refused():
    class Warming:
        def __init__(self):
            self.calls = 0

        def __call__(self, prediction, target):
            self.calls += 1
            return nn.squared_error(prediction, target) * (1.0 if self.calls > 1000 else 0.1)

    with pytest.raises(TracingError, match=r"the loss\.calls is changed by what is traced"):
        fitted(Warming())


def test_a_value_of_what_is_trained_is_refused():
    model = nn.Linear(3, 1, seed=0, dtype=np.float64)

    def loss(prediction, target):
        return nn.squared_error(prediction, target) * float(model.weight.numpy().max())

    with pytest.raises(TracingError, match=r"weight was asked for") as caught:
        fitted(loss, model)
    assert "float(model.weight" in str(caught.value)


def test_what_a_model_keeps_of_its_trace_is_allowed():
    class Keeping(nn.Module):
        def __init__(self):
            self.linear, self.hidden = nn.Linear(3, 1, seed=0, dtype=np.float64), None

        def forward(self, x):
            self.hidden = self.linear(x)
            return self.hidden

    keeping = Keeping()
    found = fitted(model=keeping, penalty=lambda model: (model.hidden**2).mean(), epochs=3, batch_size=5)
    plain = nn.Linear(3, 1, seed=0, dtype=np.float64)
    assert found.loss.shape == (1, 3)
    assert fitted(model=plain, epochs=3, batch_size=5).loss[0, 0] != found.loss[0, 1]


def test_something_set_up_at_the_first_call_is_allowed_where_it_makes_no_difference():
    class Lazy(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(3, 1, seed=0, dtype=np.float64)

        @functools.cached_property
        def scale(self):
            return 2.0

        def forward(self, x):
            return self.linear(x) * self.scale

    assert np.isfinite(fitted(model=Lazy(), epochs=3).loss).all()


def test_a_first_call_that_differs_from_later_ones_is_refused():
    class First(nn.Module):
        def __init__(self):
            self.linear, self.seen = nn.Linear(3, 1, seed=0, dtype=np.float64), False

        def forward(self, x):
            x = self.linear(x) * (2.0 if self.seen else 1.0)
            self.seen = True
            return x

    with pytest.raises(TracingError, match=r"the model\.seen is changed by what is traced"):
        fitted(model=First(), epochs=2)


@pytest.mark.parametrize("last", [False, True])
def test_a_model_without_its_parameters_is_not_called_trained(last):
    """Also where it happens after the last epoch, so that nothing is traced again."""
    model = nn.Linear(3, 1, seed=0, dtype=np.float64)

    def callback(epoch):
        if epoch.number == (4 if last else 2):
            model.weight = nn.Linear(3, 1, dtype=np.float64).weight

    with pytest.raises(TracingError, match="other parameters"):
        fitted(model=model, epochs=4, callbacks=[callback])


# Modes


def test_a_part_that_is_at_inference_stays_there():
    def by_hand(model):
        optimizer, losses = optim.SGD(0.1).attach(model), []
        for _ in range(4):
            model.zero_grad()
            loss = nn.squared_error(model(cr.tensor(ROWS)), cr.tensor(TARGETS))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def prepared(*frozen):
        model = Net()
        for name in frozen:
            getattr(model, name).eval()
        model.norm.running_mean.assign(np.ones(4))
        return model

    for frozen in ((), ("norm",), ("drop",), ("norm", "drop")):
        model = prepared(*frozen)
        found = fitted(model=model, epochs=4, batch_size=12, shuffle=False, callbacks=[lambda epoch: None])
        np.testing.assert_allclose(found.loss[0], by_hand(prepared(*frozen)), rtol=1e-9)
        assert np.array_equal(model.norm.running_mean.numpy(), np.ones(4)) == ("norm" in frozen)
        assert not any(module.training for _, module in model.named_modules())


def test_a_model_at_inference_is_trained_as_a_whole():
    one, other = Net(), Net().eval()
    np.testing.assert_array_equal(fitted(model=one, epochs=3).loss, fitted(model=other, epochs=3).loss)


# Memory that two names have


def views_of(theta):
    model = nn.Linear(3, 3, bias=False, seed=0, dtype=np.float64)
    other = nn.Linear(3, 1, bias=False, seed=0, dtype=np.float64)
    net = nn.Sequential(model, other)
    for layer, view in ((model, theta[:9].reshape(3, 3)), (other, theta[6:9].reshape(1, 3))):
        parameter = nn.Parameter.leaf(view, requires_grad=True)
        parameter.initialiser, parameter.penalised = layer.weight.initialiser, True
        layer.weight = parameter
    return net


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_parameters_that_share_memory_are_refused(executor):
    with pytest.raises(TracingError, match="share memory"):
        fitted(model=views_of(np.linspace(-1, 1, 9)), executor=executor)


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("part", ["x", "y", "validation"])
def test_data_in_a_parameters_memory_are_what_they_were(executor, part):
    """The rows of X are the weights that training changes."""

    def run(copied):
        model = nn.Linear(3, 3, bias=False, seed=0, dtype=np.float64)
        own = model.weight.numpy().T  # as it lies in memory, so that nothing copies it
        assert own.flags.c_contiguous
        own = own.copy() if copied else own
        x, y = np.ones((3, 3)), np.eye(3)
        data = {"x": (own, y), "y": (x, own)}.get(part, (x, y))
        return cr.fit(
            model,
            data,
            loss=nn.squared_error,
            optimizer=optim.SGD(0.3),
            batch_size=1,
            epochs=4,
            progress=False,
            executor=executor,
            validation=(own, y) if part == "validation" else None,
        )

    mine, theirs = run(copied=False), run(copied=True)
    np.testing.assert_array_equal(mine.loss, theirs.loss)
    if part == "validation":
        np.testing.assert_array_equal(mine.validation_loss, theirs.validation_loss)


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_what_forward_notes_down_and_nothing_reads_is_no_change(executor):
    class Noting(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 1, seed=0, dtype=np.float64)

        def forward(self, x):
            self.seen, self.rows, self.kind = x.shape, len(x), str(x.dtype)
            return self.layer(x)

    x = np.linspace(-1, 1, 60).reshape(20, 3)
    plain = nn.Sequential(nn.Linear(3, 1, seed=0, dtype=np.float64))
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 3, "batch_size": 8}
    histories = [
        cr.fit(model, (x, x[:, :1]), executor=executor, progress=False, **settings)
        for model in (Noting(), plain)
    ]
    np.testing.assert_array_equal(histories[0].loss, histories[1].loss)
