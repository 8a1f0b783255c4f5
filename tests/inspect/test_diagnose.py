"""The diagnosis: planted illnesses are found, healthy runs are left alone, and its figures are right."""

import importlib.util
import re
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import DataError, SettingError
from chainrule.inspect.diagnosis.curvature import curvature, hessian_product
from chainrule.inspect.diagnosis.lectures import ROWS
from chainrule.inspect.diagnosis.neighbours import neighbours
from chainrule.inspect.diagnosis.outcome import evaluate
from chainrule.inspect.diagnosis.probe import Probe
from chainrule.inspect.diagnosis.recorder import _histogram
from chainrule.nn.as_function import as_function
from chainrule.training.batches import Rows

ROOT = Path(__file__).parents[2]


def load_runs():
    """The 24 runs that the benchmark prints."""
    spec = importlib.util.spec_from_file_location("diagnosis_runs", ROOT / "benchmarks" / "diagnosis.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


RUNS = load_runs()


def test_there_are_twelve_of_each():
    planted = [run.planted for run in RUNS.RUNS if run.planted]
    assert len(planted) == len(set(planted)) == 12
    assert len(RUNS.RUNS) == 24


@pytest.mark.parametrize("run", RUNS.RUNS, ids=lambda run: run.name)
def test_tells_planted_illnesses_from_healthy_runs(run):
    diagnosis = run.diagnose(0)
    if run.planted:
        assert diagnosis.kinds[0] == run.planted
        assert not diagnosis.healthy
    else:
        assert diagnosis.kinds == []
        assert diagnosis.healthy


# Kinds that the 24 runs do not have


def table(rows=200, seed=0):
    return RUNS.corners(rows, seed)


def trained(model, data, loss=nn.cross_entropy, optimizer=None, **settings):
    settings = {"epochs": 30, "batch_size": 32, "progress": False, "executor": "interpreted", **settings}
    return cr.fit(model, data, loss=loss, optimizer=optimizer or optim.Adam(0.02), **settings)


def test_steps_have_no_gradient():
    model = nn.MLP([2, 8, 2], "step", seed=0)
    diagnosis = cr.diagnose(model, table(), nn.cross_entropy)
    assert diagnosis.kinds == ["no gradient"]
    assert diagnosis.findings[0].where == "1: Step"
    assert diagnosis.findings[0].rows == ("E10",)


def test_a_layer_that_is_not_used_has_no_gradient():
    class Forgetful(nn.Module):
        def __init__(self):
            self.used, self.forgotten = nn.Linear(2, 2, seed=0), nn.Linear(2, 2, seed=1)

        def forward(self, x):
            return self.used(x)

    diagnosis = cr.diagnose(Forgetful(), table(), nn.cross_entropy)
    assert diagnosis.kinds == ["no gradient"]
    assert "forgotten.weight" in diagnosis.findings[0].where


def test_activations_applied_as_functions_are_seen():
    class Bare(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 8, seed=0), nn.Linear(8, 2, seed=1)

        def forward(self, x):
            return self.b(cr.tanh(self.a(x) * 1000.0))

    diagnosis = cr.diagnose(Bare(), table(), nn.cross_entropy)
    assert diagnosis.kinds == ["saturated units"]
    assert diagnosis.findings[0].where.startswith("tanh at test_diagnose.py:")


def test_neurons_of_a_graph_are_seen():
    edges = [(a, b) for a, b in (("x1", "h"), ("x2", "h"), ("h", "o"))]
    net = nn.GraphNetwork(edges, inputs=["x1", "x2"], outputs=["o"], activation="tanh")
    net.weight.data[:] = 300.0
    x, y = table()
    diagnosis = cr.diagnose(net, (x, y[:, None].astype(np.float32)), nn.squared_error)
    assert "saturated units" in diagnosis.kinds


def test_a_layer_that_is_used_twice_is_read_twice():
    tanh = nn.Tanh()
    model = nn.Sequential(
        nn.Linear(2, 8, seed=0), tanh, nn.Linear(8, 8, seed=1), tanh, nn.Linear(8, 2, seed=2)
    )
    layers = [row["layer"] for row in cr.diagnose(model, table(), nn.cross_entropy).layers]
    assert layers == ["0: Linear", "1: Tanh", "2: Linear", "1: Tanh, call 2", "4: Linear"]
    assert "forward" not in vars(tanh)


def test_contradicting_rows_are_named():
    x, y = table(200)
    x[100:] = x[:100]
    y[100:] = 1 - y[:100]
    finding = cr.diagnose(nn.MLP([2, 4, 2], seed=0), (x, y), nn.cross_entropy).findings[0]
    assert finding.kind == "contradicting rows"
    assert finding.evidence["contradicted rows"] == 100
    assert finding.where == "100 of 200 rows, such as 0 and 100 (counted from 0)"


def test_contradicting_numbers_are_named():
    x = np.repeat(np.arange(50.0), 2)[:, None] / 50
    y = np.tile([-1.0, 1.0], 50)[:, None]
    assert "contradicting rows" in cr.diagnose(nn.Linear(1, 1, seed=0), (x, 3 * y), nn.squared_error).kinds


def test_rows_that_differ_by_the_sign_of_a_zero_are_equal():
    x = np.stack([np.repeat(np.arange(50.0), 2) / 50, np.tile([0.0, -0.0], 50)], 1)
    y = np.tile([-1.0, 1.0], 50)[:, None]
    assert "contradicting rows" in cr.diagnose(nn.Linear(2, 1, seed=0), (x, 3 * y), nn.squared_error).kinds


def test_a_class_that_is_never_predicted():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    y = (rng.random(500) < 0.04).astype(np.int64)
    model = nn.Linear(3, 2, seed=0)
    history = trained(model, (x, y))
    diagnosis = cr.diagnose(model, (x, y), nn.cross_entropy, history)
    assert diagnosis.kinds[0] == "imbalanced classes"
    assert diagnosis.findings[0].where == "class 1"


def test_a_quarter_of_wrong_labels_is_noise_but_overlap_is_not():
    x, y = table(600)
    wrong = np.random.default_rng(1).random(600) < 0.25
    model = nn.MLP([2, 16, 2], seed=0)
    noisy = cr.diagnose(model, (x, np.where(wrong, 1 - y, y)), nn.cross_entropy)
    assert noisy.kinds == ["noisy labels"]
    assert noisy.findings[0].evidence["contradicted labels"] == pytest.approx(0.25, abs=0.06)
    overlapping = RUNS.moons(600, 0, noise=0.35)
    assert cr.diagnose(model, overlapping, nn.cross_entropy).kinds == []


def test_neighbours_that_the_network_beats_do_not_judge_labels():
    """In 15 columns of which one decides, neighbours are wrong often; the labels are not."""
    x = np.random.default_rng(0).normal(size=(900, 15))
    y = (x[:, 0] > 0).astype(np.int64)
    model = nn.Linear(15, 2, seed=0)
    history = trained(model, (x[:600], y[:600]))
    alone = cr.diagnose(model, (x[:600], y[:600]), nn.cross_entropy, history)
    assert alone.kinds == ["noisy labels"]
    judged = cr.diagnose(model, (x[:600], y[:600]), nn.cross_entropy, history, validation=(x[600:], y[600:]))
    assert judged.kinds == []


def test_a_constant_column_is_a_note():
    x, y = table()
    x = np.column_stack([x, np.ones(len(x))])
    diagnosis = cr.diagnose(nn.MLP([3, 4, 2], seed=0), (x, y), nn.cross_entropy)
    assert (diagnosis.kinds, diagnosis.healthy) == (["constant columns"], True)
    assert "column 2" in str(diagnosis)


def test_a_target_in_thousands():
    x, y = RUNS.plane(100, 0)
    assert cr.diagnose(nn.Linear(10, 1, seed=0), (x, 1000 * y), nn.squared_error).kinds == ["unscaled target"]


def test_columns_before_batch_normalisation_may_have_any_scale():
    x, y = table()
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2, seed=0))
    trained(model, (1000 * x, y), epochs=3)
    assert cr.diagnose(model, (1000 * x, y), nn.cross_entropy).kinds == []


def test_a_flat_region():
    """Three layers at 0: neither slope nor, to second order, curvature."""
    model = nn.Sequential(*[nn.Linear(1, 1, bias=False) for _ in range(3)])
    for p in model.parameters():
        p.data[:] = 1e-6
    x = np.linspace(-1, 1, 40)[:, None]
    assert cr.diagnose(model, (x, x), nn.squared_error).kinds == ["vanishing gradients", "flat region"]


def test_noisy_steps():
    """One row a step with a constant learning rate: a ball of noise around what could be reached."""
    x, y = RUNS.plane(300, 0, noise=1.0)
    model = nn.Linear(10, 1, seed=0)
    noisy = trained(model, (x, y), nn.squared_error, optim.SGD(0.05), batch_size=1, epochs=12)
    assert cr.diagnose(model, (x, y), nn.squared_error, noisy).kinds == ["noisy steps"]
    falling = optim.SGD(optim.InverseTime(0.05, 0.05))
    quiet = trained(model, (x, y), nn.squared_error, falling, batch_size=1, epochs=12)
    assert cr.diagnose(model, (x, y), nn.squared_error, quiet).kinds == []


def test_a_step_over_all_rows_is_not_noisy():
    """A slope far smaller than the rows' noise, in a run that is called ended: no larger batch is left to try."""
    x, y = RUNS.plane(40, 0, noise=30.0)
    model = nn.Linear(10, 1, seed=0)
    history = trained(model, (x, y), nn.squared_error, optim.SGD(1e-9), batch_size=64, epochs=12)
    kinds = cr.diagnose(model, (x, y), nn.squared_error, history).kinds
    assert "noisy steps" not in kinds


def test_a_run_that_left_the_finite_numbers():
    x, y = RUNS.plane(100, 0)
    model = nn.MLP([10, 8, 1], "relu", seed=0)
    with pytest.warns(cr.TrainingWarning):
        history = trained(model, (x, y), nn.squared_error, optim.Adam(1e30))
    diagnosis = cr.diagnose(model, (x, y), nn.squared_error, history)
    assert diagnosis.kinds[0] in ("diverged", "step too large")
    model[0].weight.data[0, 0] = np.nan
    broken = cr.diagnose(model, (x, y), nn.squared_error)
    assert broken.kinds == ["diverged"]
    assert any("not finite" in what for what in broken.not_measured)


def test_findings_that_others_explain_are_left_out():
    diagnosis = RUNS.shuffled(1)
    assert diagnosis.kinds == ["labels without signal"]  # though it has been learned by heart


# Before any training


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "gelu", "leaky_relu", "elu", "silu"])
def test_fresh_networks_are_healthy(activation):
    model = nn.MLP([2, 32, 32, 2], activation, seed=0)
    assert cr.diagnose(model, table(), nn.cross_entropy).kinds == []


# The record


def test_the_record_says_since_when():
    x, y = table()
    model = nn.MLP([2, 16, 2], "relu", seed=0)
    recorder = cr.Recorder((x, y), nn.cross_entropy)

    def kill(epoch):
        if epoch.number == 3:
            model[0].bias.data[:14] = -50

    history = trained(model, (x, y), callbacks=[kill, recorder], epochs=6, optimizer=optim.SGD(0.05))
    diagnosis = cr.diagnose(model, (x, y), nn.cross_entropy, history, record=recorder)
    assert diagnosis.kinds[0] == "dead units"
    assert diagnosis.findings[0].evidence["since epoch"] == 3


def test_recording_changes_nothing_and_matches_what_moved():
    x, y = table()
    states, weights = [], []
    for record in (False, True):
        model = nn.MLP([2, 8, 2], "tanh", dropout=0.2, seed=0)
        recorder = cr.Recorder((x, y), nn.cross_entropy, every=2)
        callbacks = [recorder, lambda e: weights.append(e.model[0].weight.numpy().copy())] if record else []
        trained(model, (x, y), epochs=5, callbacks=callbacks)
        states.append(model.state_dict())
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])
    epochs, moved = recorder.series("update", "0.weight")
    assert epochs.tolist() == [1, 3, 5]
    expected = np.linalg.norm(weights[4] - weights[2]) / np.linalg.norm(weights[4])
    assert moved[2] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(SettingError, match="no 'update' of '9'"):
        recorder.series("update", "9")


def test_histograms_count_every_value():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=1000), np.zeros(5), np.array([1.0, np.inf, 3.0])):
        counts, edges = _histogram(values)
        finite = values[np.isfinite(values)]
        assert counts.sum() == len(finite)
        expected, _ = np.histogram(finite, 40, range=(edges[0], edges[-1]))
        assert np.abs(counts - expected).sum() <= 2  # a value on an edge may fall on either side


# Figures


def small():
    rng = np.random.default_rng(3)
    model = nn.MLP([2, 3, 1], "tanh", seed=1, dtype=np.float64)
    return model, Rows(rng.normal(size=(40, 2)), rng.normal(size=(40, 1)))


def whole_hessian(model, rows):
    function = as_function(model)
    theta = nn.flatten_parameters(model)
    return cr.hessian(lambda t: nn.squared_error(function(t, rows.x), rows.y))(
        cr.tensor(theta, dtype=np.float64)
    )


def test_curvature_is_that_of_the_whole_hessian():
    model, rows = small()
    product, gradient = hessian_product(model, nn.squared_error, None, rows)
    values = np.linalg.eigvalsh(whole_hessian(model, rows).numpy())
    found = curvature(product, gradient)
    np.testing.assert_allclose([found.lowest, found.highest], values[[0, -1]], rtol=1e-9)
    unit = gradient / np.linalg.norm(gradient)
    assert found.along == pytest.approx(unit @ whole_hessian(model, rows).numpy() @ unit)


def test_products_are_those_of_hvp():
    model, rows = small()
    function, theta = as_function(model), nn.flatten_parameters(model)
    v = np.random.default_rng(0).normal(size=len(theta))
    expected = cr.hvp(lambda t: nn.squared_error(function(t, rows.x), rows.y), theta, v)
    np.testing.assert_allclose(hessian_product(model, nn.squared_error, None, rows)[0](v), expected.numpy())


def test_lanczos_finds_the_extremes_of_a_large_matrix():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(300, 300)))
    values = np.concatenate([[-3.0], rng.normal(0, 0.1, 298), [20.0]])
    matrix = basis * values @ basis.T
    found = curvature(lambda v: matrix @ v, rng.normal(size=300))
    assert found.highest == pytest.approx(20, rel=1e-2)
    assert abs(found.lowest + 3) <= max(found.lowest_error, 0.03)


def test_readings_are_those_of_back_propagation():
    model, rows = small()
    probed = Probe(model, nn.squared_error, None, rows).read()
    loss = nn.squared_error(model(rows.x), rows.y)
    loss.backward()
    assert probed.loss == pytest.approx(loss.item())
    for name, p in model.named_parameters():
        np.testing.assert_allclose(probed.gradient[name], p.grad.numpy(), atol=1e-12)
    tanh = probed.readings[1]
    np.testing.assert_allclose(tanh.values, np.tanh(probed.readings[0].values))
    np.testing.assert_allclose(tanh.slope, 1 - tanh.values**2)
    # the messages of the last layer times its input are its weight's gradient (C5)
    found = probed.readings[-1].messages.T @ tanh.values
    np.testing.assert_allclose(
        found / 8, model[2].weight.grad.numpy(), atol=1e-12
    )  # of the mean over 8 parts


def test_noise_is_the_spread_of_the_rows_gradients():
    """For a linear model the covariance of a row's gradient is known; eight parts estimate it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8000, 1))
    y = rng.normal(size=(8000, 1))
    model = nn.Linear(1, 1, bias=False, dtype=np.float64, seed=0)
    model.weight.data[:] = 0.0
    probed = Probe(model, nn.squared_error, None, Rows(x, y)).read()
    assert probed.noise == pytest.approx(np.var(2 * x * y), rel=1.0)


def test_a_constant_is_the_baseline():
    x, y = table(100)
    frequency = np.bincount(y) / 100
    outcome = evaluate(nn.Linear(2, 2, seed=0), nn.cross_entropy, Rows(x, y))
    assert outcome.baseline == pytest.approx(-(frequency * np.log(frequency)).sum(), rel=1e-5)
    target = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    outcome = evaluate(nn.Linear(2, 1, seed=0), nn.absolute_error, Rows(x, target))
    assert outcome.baseline == pytest.approx(np.abs(target - np.median(target)).mean(), rel=1e-5)


def test_neighbours_know_what_can_be_known():
    x, y = table(400)
    assert neighbours(x, y, y).skill > 0.95
    assert neighbours(x, y, np.random.default_rng(0).permutation(y)).skill < 0.2
    curve = RUNS.wave(400, 0)
    assert neighbours(*curve, None).skill > 0.98
    assert neighbours(x[:20], y[:20], y[:20]) is None


# What it says


def test_text_html_and_details():
    diagnosis = RUNS.underfitted(0)
    text = str(diagnosis)
    assert text.startswith("warning: underfitting")
    assert all(word in text for word in ("evidence: loss", "try: hidden units", "why: E6: no straight line"))
    assert max(map(len, text.splitlines())) <= 88
    page = ElementTree.fromstring(diagnosis._repr_html_())
    assert "underfitting" in "".join(page.itertext())
    details = diagnosis.details()
    assert "second-derivative test: " in details
    assert "gradient/weight" in details
    healthy = RUNS.healthy_linear(0)
    assert str(healthy).startswith("Nothing wrong was found.")


def test_every_kind_has_its_reason_and_its_place_in_the_docs():
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    folder = ROOT / "src" / "chainrule" / "inspect" / "diagnosis" / "findings"
    source = "".join(path.read_text() for path in sorted(folder.glob("*.py")))
    named = re.findall(r"Finding\(\s*\"([a-z ]+)\"", source)
    rows = set(re.findall(r"\"([A-E]\d+)\"", source))
    assert len(named) == len(set(named)) >= 18
    assert [kind for kind in named if f"### {kind.capitalize()}\n" not in page] == []
    assert rows == set(ROWS)
    assert {run.planted for run in RUNS.RUNS if run.planted} < set(named)


def test_nothing_is_changed():
    x, y = table()
    model = nn.MLP([2, 8, 2], "relu", dropout=0.5, batch_norm=True, seed=0)
    model.train()
    before, text = model.state_dict(), repr(model)
    first = model(x[:5]).numpy()
    model.load_state_dict(before)
    cr.diagnose(model, (x, y), partial(nn.cross_entropy, label_smoothing=0.1), penalty=nn.l2(0.1))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert model.training
    assert repr(model) == text
    assert all(p.grad is None for p in model.parameters())
    np.testing.assert_array_equal(model(x[:5]).numpy(), first)


def test_bad_input_is_refused_as_by_fit():
    x, y = table()
    with pytest.raises(SettingError, match="model"):
        cr.diagnose(nn.Linear, (x, y), nn.cross_entropy)
    with pytest.raises(DataError, match="X"):
        cr.diagnose(nn.Linear(2, 2), (np.full((3, 2), np.nan), [0, 1, 0]), nn.cross_entropy)


def test_few_rows_are_enough():
    xnor = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([1, 0, 0, 1])
    model = nn.MLP([2, 2, 2], "logistic", seed=0)
    diagnosis = cr.diagnose(model, xnor, nn.cross_entropy)
    assert diagnosis.kinds == []
    assert len(diagnosis.layers) == 3


def test_sorted_rows_are_judged_as_shuffled_ones():
    """Of many rows some are looked at: from everywhere, not the first ones."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 10_000)
    x = (rng.normal(size=(20_000, 2)) + 3.0 * y[:, None]).astype(np.float32)
    model = nn.MLP([2, 8, 2], seed=0)
    order = rng.permutation(len(x))
    cr.fit(
        model,
        (x[order], y[order]),
        loss=nn.cross_entropy,
        optimizer=optim.Adam(0.01),
        epochs=3,
        progress=False,
    )
    found = [cr.diagnose(model, (x[rows], y[rows]), nn.cross_entropy).kinds for rows in (order, slice(None))]
    assert found[0] == found[1]
