"""Steps are traced and compiled before the first epoch, in a stage of their own, and only those that a run needs."""

import time
from types import SimpleNamespace

import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training import executors, full_batch, replica_loop

COMPILING = 1000.0  # seconds that each step takes to compile, by the clock of these tests


@pytest.fixture
def fit(make_model, regression, monkeypatch):
    """A run of 50 rows, and with it what happened: "compile", and "epoch" with the seconds that it took."""
    events, late = [], 0.0
    original = executors.Compiling.compile_step

    def compile_step(self, step):
        nonlocal late
        late += COMPILING
        events.append("compile")
        return original(self, step)

    def fit(**settings):
        model = make_model(dropout=0.0 if "LBFGS" in repr(settings) else 0.2)
        events.clear()
        given = {
            "optimizer": optim.Adam(0.01),
            "epochs": 3,
            "batch_size": 16,
            "threads": 1,
            "progress": False,
        }
        given["callbacks"] = [lambda epoch: events.append(epoch.seconds), *settings.pop("callbacks", ())]
        history = cr.fit(model, regression, loss=nn.squared_error, **given | settings)
        return history, list(events)

    monkeypatch.setattr(executors.Compiling, "compile_step", compile_step)
    for module in (replica_loop, full_batch):
        clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + late)
        monkeypatch.setattr(module, "time", clock)
    return fit


def drop_more(epoch):
    if epoch.number == 2:
        for _, part in epoch.model.named_modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.5


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"batch_size": 10}, "c eee"),
        ({}, "cc eee"),  # the last minibatch has 2 rows
        ({"drop_last": True}, "c eee"),
        ({"batch_size": 1000}, "c eee"),
        ({"validation": True}, "ccc eee"),
        ({"stop": cr.EarlyStopping(5)}, "ccc eee"),  # the loss of all rows
        ({"stop": cr.GradientNorm(1e-9)}, "cc e c ee"),  # asked only after an epoch
        ({"callbacks": [drop_more]}, "cc ee cc e"),
        ({"restarts": 2}, "cc eee c eee"),  # by the loss of all rows they are compared, at the end of each
        ({"optimizer": optim.LBFGS(3)}, "c eee"),
        ({"optimizer": optim.LBFGS(3), "validation": True, "penalty": nn.l2(0.1)}, "cc eee"),  # 50 rows each
    ],
    ids=lambda given: " ".join(given) or "plain" if isinstance(given, dict) else None,
)
def test_nothing_is_compiled_within_an_epoch(fit, regression, settings, expected):
    if settings.get("validation"):
        settings = settings | {"validation": regression}
    _, events = fit(**settings)
    assert "".join("c" if event == "compile" else "e" for event in events) == expected.replace(" ", "")
    assert all(event < COMPILING for event in events if event != "compile")


@pytest.mark.parametrize("restarts", [1, 3])
def test_a_run_that_is_done_compiles_nothing(fit, tmp_path, restarts):
    settings = {"checkpoint": tmp_path / "run.safetensors", "restarts": restarts}
    history, _ = fit(**settings)
    again, events = fit(**settings, resume=True)
    assert events == []
    assert [r.loss for r in again.replicas] == [r.loss for r in history.replicas]


@pytest.mark.usefixtures("many_cores")
def test_parameters_that_are_not_trained_are_told_once_by_all_threads(regression):
    class Half(nn.Module):
        def __init__(self):
            self.used, self.unused = nn.Linear(3, 2, seed=0), nn.Linear(3, 2, seed=1)

        def forward(self, x):
            return self.used(x)

    with pytest.warns(cr.TrainingWarning, match=r"unused\.weight") as caught:
        cr.fit(
            Half(),
            regression,
            loss=nn.squared_error,
            optimizer=optim.Adam(0.01),
            restarts=4,
            threads=2,
            memory_limit=None,
            batch_size=16,
            epochs=2,
            progress=False,
        )
    assert len(caught) == 1
