"""A budget of seconds: a plan from what epochs take, by a clock of the test's own, and a run that is gone on with."""

import numpy as np
import polars as pl
import pytest

from chainrule.errors import SettingError
from chainrule.tables import Recipe, TrainingSettings, prepare, train, train_table
from chainrule.tables.budget import FIRST, LOOK, MOST_REPEATS, RESERVE, within_budget


def table(rows=120):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": x.sum(1)})


def planned(seconds, epoch, overhead=0.0, compiling=0.0):
    """The plan on a machine whose epochs take ``epoch`` seconds, each run ``overhead`` more, the first most."""
    now, runs = [0.0], []

    def trial(epochs):
        now[0] += epochs * epoch + overhead + (0 if runs else compiling)
        runs.append(epochs)

    asked = prepare(table(), "y", Recipe({"budget": seconds, "folds": 3}))
    found = within_budget(asked, trial, clock=lambda: now[0])
    return found, now[0], asked.settings.epochs


@pytest.mark.parametrize("epoch", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("overhead", [0.0, 0.3])
@pytest.mark.parametrize("seconds", [20, 100, 1000])
def test_what_is_planned_fits_and_uses_what_there_is(epoch, overhead, seconds):
    found, spent, usual = planned(seconds, epoch, overhead, compiling=2.0)
    settings = found.settings
    takes = spent + settings.restarts * (overhead + settings.epochs * epoch)
    known = 3 * (1 + FIRST) * (epoch + overhead) < LOOK * seconds  # a run's beginning is told from an epoch
    assert takes <= seconds * (1 - RESERVE) + overhead + 1e-6
    if settings.epochs < usual:
        assert settings.restarts == 1
        assert not known or takes + epoch >= seconds * (1 - RESERVE) - 1e-6
    elif settings.restarts < MOST_REPEATS:
        assert settings.epochs == usual
        assert not known or takes + overhead + usual * epoch >= seconds * (1 - RESERVE) - 1e-6
    assert found.architecture.members == 3 * settings.restarts
    assert f"epochs={settings.epochs}, restarts={settings.restarts}" in found.notices[-1]


def test_too_short_a_budget_says_how_long_would_do():
    with pytest.raises(SettingError, match="too short for one epoch") as error:
        planned(10, epoch=20.0)
    assert "about 67 s" in str(error.value)  # two trials of 20 s and an epoch, and a tenth kept back


@pytest.mark.parametrize("changes", [{"epochs": 3}, {"restarts": 2}])
def test_a_budget_leaves_nothing_to_choose(changes):
    with pytest.raises(SettingError, match="a budget chooses"):
        Recipe({"budget": 5, **changes})


@pytest.mark.parametrize("value", [0, -1, float("nan"), "soon"])
def test_a_budget_is_a_number_of_seconds(value):
    with pytest.raises(SettingError, match="budget"):
        Recipe({"budget": value})


def test_a_single_network_has_no_budget():
    with pytest.raises(SettingError, match="single network"):
        train_table(table(), "y", TrainingSettings(budget=5))


def test_a_run_is_gone_on_with_as_it_was_planned_and_can_be_had_again(tmp_path):
    asked = Recipe({"budget": 8, "folds": 3, "hidden": (8,), "embedding": "none"})
    seen = []

    def stop(epoch):
        seen.append(epoch)
        if len(seen) == 5:
            raise KeyboardInterrupt

    cut = train(prepare(table(), "y", asked), progress=False, checkpoint=tmp_path / "run", callbacks=(stop,))
    settings = cut.prepared.settings
    resumed = train(prepare(table(), "y", asked), progress=False, checkpoint=tmp_path / "run", resume=True)
    assert (resumed.prepared.settings.epochs, resumed.prepared.settings.restarts) == (
        settings.epochs,
        settings.restarts,
    )
    said = {name: getattr(settings, name) for name in ("epochs", "restarts", "patience")}
    again = train_table(table(), "y", Recipe({**said, "folds": 3, "hidden": (8,), "embedding": "none"}))
    assert again.score.value == resumed.score.value
