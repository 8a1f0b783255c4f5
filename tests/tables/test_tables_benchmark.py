"""benchmarks/tables.py: it runs, its figures are those of scikit-learn, and its ranks and comparisons are right."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load_scores():
    spec = importlib.util.spec_from_file_location("table_scores", BENCHMARKS / "table_scores.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


scores = load_scores()


@pytest.fixture
def folder(tmp_path):
    """Two tables with text and gaps: classes that follow from a number, and numbers."""
    rng = np.random.default_rng(0)
    x, shape = rng.normal(size=120), rng.choice(["round", "square"], 120)
    frame = pd.DataFrame({"x": np.where(np.arange(120) % 9, x, np.nan), "shape": shape})
    frame.assign(y=np.where(x > 0, "yes", "no")).to_csv(tmp_path / "signs.csv", index=False)
    frame.assign(y=3 * x + (shape == "round")).to_csv(tmp_path / "lines.csv", index=False)
    test = [rng.permutation(120)[:40].tolist() for _ in range(2)]
    tasks = {"signs": "classification", "lines": "regression"}
    (tmp_path / "splits.json").write_text(
        json.dumps({name: {"task": task, "test": test} for name, task in tasks.items()})
    )
    return tmp_path


def run(folder, *options):
    command = [sys.executable, str(BENCHMARKS / "tables.py"), str(folder), "--threads", "1", *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, cwd=folder, env=dict(os.environ), check=False
    )


def test_it_runs_on_a_folder(folder):
    done = run(folder, "--only", "sklearn", "--json", "found.json", "--markdown", "found.md", "--splits", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "found.json").read_text())
    signs, lines = found["results"]
    assert 0 < signs["error"] < 0.3 and signs["log_loss"] < 0.6 and signs["auc"] > 0.8, signs
    assert 0 < lines["error"] < 0.6, lines
    assert signs["cpu_seconds"] > 0 and set(found["versions"]) == {"scikit-learn"}
    assert found["summary"]["sklearn"]["mean rank, error"] == 1
    assert f"| signs | **{signs['error']:.4f}** |" in (folder / "found.md").read_text()


def test_a_contestant_that_fails_or_takes_too_long_is_named(folder):
    done = run(folder, "--only", "sklearn", "--json", "found.json", "--limit", "0")
    failures = {r["failure"] for r in json.loads((folder / "found.json").read_text())["results"]}
    assert failures == {"took more than 0 seconds"}, done.stderr
    assert done.stderr.strip().endswith("no contestant finished")


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--only", "nobody"], "no such contestant: nobody"), (["--tables", "none"], "no such table: none")],
)
def test_names_that_are_not_known(folder, options, said):
    done = run(folder, *options)
    assert done.returncode == 1
    assert said in done.stderr


def test_figures_of_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    classes = np.array(["a", "b"])
    y = rng.choice(classes, 300)
    p = rng.dirichlet([1, 1], 300).round(2)  # with ties
    figures = scores.score_classes(p, classes, y).figures
    assert figures["error"] == pytest.approx(1 - metrics.accuracy_score(y, classes[p.argmax(1)]))
    clipped = np.clip(p, scores.LEAST, 1)
    assert figures["log_loss"] == pytest.approx(
        -np.log(clipped[np.arange(300), (y == "b").astype(int)]).mean()
    )
    assert figures["auc"] == pytest.approx(metrics.roc_auc_score(y == "b", p[:, 1]))


def test_error_of_numbers():
    y, predicted = np.array([1.0, 2, 4]), np.array([1.0, 1, 4])
    assert scores.score_numbers(predicted, y).figures["error"] == pytest.approx(
        np.sqrt(1 / 3) / pd.Series(y).std()
    )


def test_a_class_that_training_did_not_show_is_an_error_and_costs_the_most():
    found = scores.score_classes(np.array([[0.9, 0.1]]), np.array(["a", "b"]), np.array(["c"]))
    assert found.figures["error"] == 1
    assert found.figures["log_loss"] == pytest.approx(-np.log(scores.LEAST))


def test_calibration_error():
    sure = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([1.0, 1, 1, 0, 1, 0])
    assert scores.calibration_error(sure, right) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)


def test_ranks_wins_and_distances():
    figures = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [2.0, 2.0, 1.0], "c": [3.0, 3.0, np.nan]})
    assert scores.mean_ranks(figures).to_dict() == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert scores.wins(figures).to_dict() == {"a": 1.5, "b": 1.5, "c": 0.0}
    assert scores.behind_the_best(figures)["a"] == pytest.approx(3.0)


def test_a_failed_split_leaves_the_table_without_a_mean():
    results = [{"table": "t", "contestant": c, "error": 0.5} for c in "ab"]
    results.append({"table": "t", "contestant": "b", "failure": "out of memory"})
    means = scores.mean_figures(results, "error").loc["t"]
    assert means["a"] == 0.5
    assert np.isnan(means["b"])


def test_no_worse_allows_one_standard_error():
    rng = np.random.default_rng(0)
    theirs = rng.random(400)
    noise = rng.normal(size=400)
    noise -= noise.mean()
    error = noise.std(ddof=1) / 20
    assert scores.no_worse([theirs + noise + 0.9 * error], [theirs])
    assert not scores.no_worse([theirs + noise + 1.1 * error], [theirs])


def test_bundled_splits_are_disjoint_from_training():
    (wine,) = scores.bundled(["wine"])
    training, held_out = wine.split(1)
    assert set(training).isdisjoint(held_out)
    assert len(training) + len(held_out) == len(wine.y) == 178
