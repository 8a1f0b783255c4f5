"""The settings of fit, and how it leaves the model."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"epochs": 2.5}, {"epochs": True}, {"batch_size": 0}, {"batch_size": None},
        {"restarts": 0}, {"seed": -1}, {"seed": None}, {"clip_norm": 0.0}, {"clip_norm": np.nan},
        {"optimizer": "adam"}, {"optimizer": optim.Adam}, {"loss": "mse"}, {"penalty": 0.1},
        {"callbacks": print}, {"callbacks": [1]}, {"stop": 5}, {"stop": [cr.GradientNorm()] * 2},
        {"progress": "bar"}, {"executor": "gpu"}, {"threads": 0}, {"resume": True},
    ],
    ids=str,
)  # fmt: skip
def test_settings_out_of_range(make_model, regression, wrong):
    model = make_model()
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 1} | wrong
    with pytest.raises(SettingError) as caught:
        cr.fit(model, regression, **settings)
    name = next(iter(wrong))
    assert name in str(caught.value) or name == "threads"


def test_a_model_must_be_a_module(regression):
    with pytest.raises(SettingError, match="model is of the wrong kind"):
        cr.fit(np.zeros(3), regression, loss=nn.squared_error, optimizer=optim.SGD(0.1))


def test_the_model_is_left_at_inference_without_gradients(make_model, regression):
    model = make_model(dropout=0.5)
    buffers = [(p.data, p) for p in [*model.parameters(), *model.buffers()]]
    nn.squared_error(model(regression[0]), regression[1]).backward()  # gradients from before do not matter
    cr.fit(model, regression, loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=2, restarts=2)
    assert not any(module.training for _, module in model.named_modules())
    assert all(p.grad is None for p in model.parameters())
    for buffer, p in buffers:  # views that a user holds stay valid
        assert p.data is buffer
        assert p.node.value is buffer
    # predict is machine code, which adds up in another order
    np.testing.assert_allclose(
        model.predict(regression[0]), model(regression[0]).numpy(), rtol=1e-12, atol=1e-14
    )


def test_gradients_from_before_are_gone_even_where_nothing_is_trained(make_model, regression, tmp_path):
    model = make_model()
    settings = {
        "loss": nn.squared_error,
        "optimizer": optim.SGD(0.1),
        "epochs": 1,
        "checkpoint": tmp_path / "c",
    }
    cr.fit(model, regression, **settings)
    nn.squared_error(model(regression[0]), regression[1]).backward()
    cr.fit(model, regression, **settings, resume=True)
    assert all(p.grad is None for p in model.parameters())


def test_a_model_at_inference_is_trained_all_the_same(make_model, regression, same_state):
    """As the model of a former fit is; dropout and batch normalisation must be at work again."""
    models = [make_model(dropout=0.3, batch_norm=True) for _ in range(2)]
    models[1].eval()
    for model in models:
        cr.fit(model, regression, loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=2, batch_size=20)
    same_state(models[1].state_dict(), models[0].state_dict())


def test_the_model_can_be_trained_by_hand_afterwards(make_model, regression, train_by_hand):
    model = make_model()
    cr.fit(model, regression, loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=2)
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 20, "batch_size": 50}
    losses = train_by_hand(model, regression, **settings)
    assert losses[-1][0] < losses[0][0]


def test_the_same_seed_gives_the_same_numbers(make_model, regression, same_state):
    def train(seed):
        model = make_model(dropout=0.2)
        settings = {"loss": nn.squared_error, "optimizer": optim.Adam(0.01), "epochs": 3, "batch_size": 8}
        history = cr.fit(model, regression, seed=seed, **settings)
        return model.state_dict(), history.loss

    first, again, other = train(3), train(3), train(4)
    same_state(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).all()


def test_validation_does_not_change_the_training(make_model, regression, same_state):
    plain, watched = make_model(dropout=0.2, batch_norm=True), make_model(dropout=0.2, batch_norm=True)
    settings = {"loss": nn.squared_error, "optimizer": optim.Adam(0.01), "epochs": 3, "batch_size": 8}
    cr.fit(plain, regression, **settings)
    cr.fit(watched, regression, validation=regression, callbacks=[lambda epoch: None], **settings)
    same_state(plain.state_dict(), watched.state_dict())


def test_validation_loss_is_that_of_the_model_at_the_end_of_each_epoch(make_model, regression):
    x, y = regression
    expected = []
    history = cr.fit(
        make_model(dropout=0.3, batch_norm=True),
        (x, y),
        loss=nn.squared_error,
        optimizer=optim.Adam(0.01),
        epochs=4,
        batch_size=8,
        validation=(x[:9], y[:9]),
        callbacks=[lambda e: expected.append(nn.squared_error(e.model.predict(x[:9]), y[:9]).item())],
    )
    np.testing.assert_allclose(history.validation_loss[0], expected, rtol=1e-13)


def test_validation_in_several_parts(make_model, monkeypatch, regression):
    from chainrule.training import trainer

    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 1, "validation": regression}
    whole = cr.fit(make_model(), regression, **settings)
    monkeypatch.setattr(trainer, "EVALUATION_ROWS", 7)
    parts = cr.fit(make_model(), regression, **settings)
    np.testing.assert_allclose(parts.validation_loss, whole.validation_loss, rtol=1e-13)


def test_no_context_leaks(make_model, regression):
    from chainrule.tensor import GRAD_ENABLED, TRACE

    cr.fit(make_model(), regression, loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=1)
    assert GRAD_ENABLED.get() and TRACE.get() is None


def test_a_loss_of_numpys_functions(regression):
    model = nn.Linear(3, 2, seed=0, dtype=np.float64)
    twin = nn.Linear(3, 2, seed=0, dtype=np.float64)
    settings = {"optimizer": optim.SGD(0.1), "epochs": 2, "progress": False}
    by_numpy = cr.fit(model, regression, loss=lambda p, t: np.mean(np.square(p - t)), **settings)
    ours = cr.fit(twin, regression, loss=nn.squared_error, **settings)
    np.testing.assert_allclose(by_numpy.loss, ours.loss)
