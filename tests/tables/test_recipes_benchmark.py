"""benchmarks/recipes.py: nothing leaks into what is out of fold; mixtures and temperatures find what was planted."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import recipe_effects as effects
import recipes
import table_recipe
from table_contestants import Job

SHORT = {"hidden": (8,), "length": 0.05, "folds": 3, "bins": 8}


def job_of(y, task):
    rng = np.random.default_rng(0)
    count = len(y)
    x = np.where(rng.random(count) < 0.1, np.nan, rng.normal(size=count))
    frame = pd.DataFrame({"x": x, "z": rng.normal(size=count), "c": rng.choice(["u", "v", "w"], count)})
    return Job(frame, y, frame.iloc[:5], task, 1)


@pytest.mark.parametrize("embedding", ["periodic", "quantile bins", "target bins", "steps", ""])
def test_labels_without_a_pattern_are_not_known_out_of_fold(embedding):
    y = np.random.default_rng(1).choice(["a", "b"], 240)
    found = table_recipe.fit_folds(
        job_of(y, "classification"), table_recipe.Recipe(embedding=embedding, **SHORT)
    )
    right = found.out_of_fold.argmax(1) == (y == "b")
    assert found.others.shape == (3, 5, 2)
    assert 0.38 < right.mean() < 0.62  # four standard deviations about a half


def test_a_target_in_logarithms_comes_back_in_its_units():
    rng = np.random.default_rng(2)
    job = job_of(np.ones(240), "regression")
    y = np.exp(job.train["z"].to_numpy() + 0.01 * rng.normal(size=240))
    job = Job(job.train, y, job.test, "regression", 1)
    short = {**SHORT, "length": 0.3}
    found = table_recipe.fit_folds(job, table_recipe.Recipe(target="log", **short)).out_of_fold[:, 0]
    assert np.corrcoef(found * y.std() + y.mean(), y)[0, 1] > 0.9


def test_a_mixture_takes_what_lowers_the_loss_and_nothing_else():
    y = np.arange(40) % 2
    task = effects.Task(y, y, True)
    good = np.stack([y == 0, y == 1], 1) * 2.0
    members = {"good": effects.Answer(good, good), "bad": effects.Answer(-good, -good)}
    assert effects.mixture(task, members) == {"good": 1.0}
    assert effects.mixture(task, members, {"good": 1, "bad": 1})["good"] > 0.9


def test_a_mixture_of_numbers_cancels_opposite_errors():
    y = np.linspace(-1, 1, 50)
    task = effects.Task(y, y, False)
    up, down = (effects.Answer((y + d)[:, None], (y + d)[:, None]) for d in (0.5, -0.5))
    weights = effects.mixture(task, {"up": up, "down": down})
    assert weights == {"up": 0.5, "down": 0.5}
    answer = effects.weighted({"up": up, "down": down}, weights)
    assert task.loss(answer.held_out, y) == pytest.approx(0, abs=1e-12)


def test_the_temperature_is_that_of_the_labels():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(4000, 3))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    _, temperature = effects.tempered(effects.Task(y, y, True), effects.Answer(2 * logits, 2 * logits))
    assert temperature == pytest.approx(2, rel=0.1)


def test_the_rule_keeps_equal_weights_unless_rows_speak_against_them():
    rng = np.random.default_rng(4)
    y = rng.normal(size=300)
    task = effects.Task(y, y, False)
    same = [(y + 0.5 * rng.normal(size=300))[:, None] for _ in range(2)]
    pair = {f"n{i}": effects.Answer(z, z) for i, z in enumerate(same)}
    equal = effects.mean_of(pair).out_of_fold
    np.testing.assert_allclose(effects.by_the_rule(task, pair).out_of_fold, equal)
    bad = effects.Answer(-y[:, None], -y[:, None])
    chosen = effects.by_the_rule(task, {"good": pair["n0"], "bad": bad})
    assert task.loss(chosen.out_of_fold, y) < 0.7 * task.loss(
        effects.mean_of({"g": pair["n0"], "b": bad}).out_of_fold, y
    )
    exact = effects.Answer(y[:, None], y[:, None])
    assert task.loss(effects.by_the_rule(task, pair, exact).out_of_fold, y) < 0.9 * task.loss(equal, y)


def test_averaging_logarithms_is_surer_than_averaging_probabilities():
    logits = np.array([[[4.0, 0.0]], [[0.0, 2.0]]])
    folded = table_recipe.Folded(logits[0], logits)
    task = effects.Task(np.array([0]), np.array([0]), True)
    logs, shares = (softmax(effects.averaged(task, folded, p).held_out, -1) for p in (False, True))
    np.testing.assert_allclose(logs, softmax(logits.mean(0), -1))
    np.testing.assert_allclose(shares, softmax(logits, -1).mean(0))


def test_each_recipe_has_one_that_it_is_a_change_of():
    assert set(recipes.bases().values()) <= set(recipes.RECIPES)
