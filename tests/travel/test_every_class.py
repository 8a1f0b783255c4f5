"""Whatever is public can be copied and sent to another process: classes by their examples, functions by name."""

import copy
import functools
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import travellers
from public import instances, public_classes, public_names
from sameness import differences
from ways import WAYS

import chainrule as cr
from chainrule import errors, files, nn, optim, report, training
from chainrule.nn import graph_network

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
NET = {("x", "h"): 2.0, ("h", "o"): 3.0}


def history():
    return cr.fit(
        nn.MLP([4, 3, 1], seed=0),
        (X, X[:, :1]),
        loss=nn.squared_error,
        optimizer=optim.Adam(),
        epochs=2,
        restarts=2,
    )


def full_report():
    curves = report.Curves(np.ones((1, 2)), np.full((1, 2), np.nan), 0, 1)
    confusion = report.Confusion(("a", "b"), np.eye(2, dtype=np.int64), np.ones(2), np.ones(2))
    numbers = report.Calibration(np.linspace(0, 1, 3), np.ones(2), np.ones(2), np.ones(2, np.int64), 0.5)
    columns = [report.Column("c", "number", "0 to 1", 0)]
    found = report.Findings([report.FindingRow(*"abcde", ("g",))], {"a": "1"}, [{"a": "1"}])
    importances = report.Importances([report.Importance("c", 0.1, 0.2, 0.3)], "shuffled", "slope")
    worst = report.WorstRows(("row",), [("1",)])
    layers = [report.Layer("0: Linear", "[3]", 12)]
    return report.Report(
        *("title", "classification", "accuracy", 0.9, 0.5, 10, 5, curves, confusion, columns, layers),
        *({"a": 1}, (), "predict", "snippet", "1", 0.1, found, importances, numbers, worst, "<svg/>"),
    )


#: for classes that no line of their own docstring makes
MADE = {
    nn.Module: travellers.Residual,
    nn.Parameter: lambda: nn.Linear(3, 2, seed=0).weight,
    nn.Buffer: lambda: nn.BatchNorm1d(2).running_var,
    optim.Optimizer: lambda: travellers.SignDescent(0.1).attach(nn.Linear(3, 2, seed=0)),
    graph_network.ForwardPass: lambda: graph_network.forward_pass(nn.GraphNetwork(NET, ["x"], ["o"]), [1.0]),
    graph_network.Messages: lambda: nn.GraphNetwork(NET, ["x"], ["o"]).messages([1.0]),
    training.Ensemble: lambda: history().ensemble(),
    training.Replica: lambda: history().replicas[1],
    training.RateCurve: lambda: cr.find_lr(
        nn.Linear(4, 1), (X, X[:, :1]), loss=nn.squared_error, optimizer=optim.SGD(), steps=5
    ),
    training.TrainingWarning: lambda: cr.TrainingWarning("the loss became nan"),
    training.DataWarning: lambda: cr.DataWarning("two years are one in float32"),
    errors.InTrainingError: lambda: errors.InTrainingError("the model is being trained", hint="wait"),
    training.CheckpointInUseError: lambda: training.CheckpointInUseError(
        "another run saves there", got="run.safetensors"
    ),
    errors.ChainruleError: lambda: errors.ChainruleError(
        "it", expected=3, got=lambda: 4, where="a:1", hint="do"
    ),
    files.FileWriteError: lambda: files.FileWriteError(
        "could not write", expected="room", got=NotImplemented
    ),
    report.Report: full_report,
    report.Curves: lambda: full_report().curves,
    report.Confusion: lambda: full_report().outcome,
    report.Predictions: lambda: report.Predictions(np.ones(3), np.zeros(3)),
    report.Calibration: lambda: full_report().calibration,
    report.Column: lambda: full_report().columns[0],
    report.Layer: lambda: full_report().layers[0],
    report.Findings: lambda: full_report().findings,
    report.FindingRow: lambda: full_report().findings.found[0],
    report.Importances: lambda: full_report().importances,
    report.Importance: lambda: full_report().importances.columns[0],
    report.MetricRow: lambda: report.MetricRow(*"abcde"),
    report.WorstRows: lambda: full_report().worst,
    report.ClassCurve: lambda: report.ClassCurve("yes", np.eye(2), np.ones((3, 2)), 0.5, 0.6, 0.25),
    report.CoverageRow: lambda: report.CoverageRow(0.9, 0.88, 1.5),
    report.Dependence: lambda: report.Dependence("c", np.arange(2.0), (), np.eye(2), ("no", "yes")),
    report.Spread: lambda: report.Spread(np.ones(3), np.arange(3.0), 1.0, 8, True, 0.9, 0.05),
}
NEEDS_MORE = {training.TensorBoardLog}  # a library of its own; see below


def has_history(thing):
    return isinstance(thing, cr.Tensor) and thing.requires_grad and thing.node.owner is None


def names(cls):
    return f"{cls.__module__.removeprefix('chainrule.')}.{cls.__name__}"


@pytest.mark.parametrize("cls", [c for c in public_classes() if c not in NEEDS_MORE], ids=names)
def test_instances_of_every_public_class_travel(cls, worker):
    made = MADE[cls]() if cls in MADE else None
    found = [made] if made is not None else [one for one in instances(cls) if not has_history(one)]
    assert found, f"write an example into the docstring of {cls.__name__}, or one into this file"
    for thing in found:
        for name, way in {**WAYS, "copy": copy.copy}.items():
            assert not list(differences(thing, way(thing))), name
        data = pickle.dumps(thing)
        for never in (b"chainrule.compiler", b"ctypes", str(Path(cr.__file__).parent).encode()):
            assert never not in data
    assert not list(differences(found, worker.submit(travellers.back, found).result()))


def public_functions():
    return {name: f for name, f in public_names().items() if callable(f) and not inspect.isclass(f)}


@pytest.mark.parametrize("name", public_functions())
def test_public_functions_are_found_by_name(name):
    f = public_functions()[name]
    for protocol in (2, 5):
        assert pickle.loads(pickle.dumps(f, protocol)) is f


@pytest.mark.parametrize("name", sorted(nn.activations.ACTIVATIONS))
def test_activations_and_initialisers_travel(name):
    known = nn.activations.find_activation(name)
    assert not list(differences(known, pickle.loads(pickle.dumps(known))))


INITIALISERS = [
    *(make() for make in nn.initialisers.INITIALISERS.values()),
    nn.initialisers.glorot_uniform(gain=2.0),
    nn.initialisers.glorot_normal(gain=2.0),
    nn.initialisers.orthogonal(gain=2.0),
    nn.initialisers.uniform(-1.0, 2.0),
    nn.initialisers.normal(0.3),
    nn.initialisers.constant(0.3),
]


@pytest.mark.parametrize("initialiser", INITIALISERS, ids=repr)
def test_initialisers_draw_the_same_elsewhere(initialiser):
    other = pickle.loads(pickle.dumps(initialiser))
    drawn = [one(np.random.default_rng(0), (3, 5)) for one in (initialiser, other)]
    np.testing.assert_array_equal(*drawn)
    assert repr(other) == repr(initialiser)


def every_error():
    found, waiting = [], [errors.ChainruleError]
    while waiting:
        cls = waiting.pop()
        found.append(cls)
        waiting += cls.__subclasses__()
    return [cls for cls in found if cls.__module__.startswith("chainrule")]


@pytest.mark.parametrize("cls", every_error(), ids=lambda cls: cls.__name__)
def test_errors_come_back_from_another_process(cls, worker):
    error = cls("what", expected=(2, 3), got="x", where="file:1", hint="try")
    error.add_note("a note")
    error.got = lambda: None  # nothing that could be pickled
    arrived = worker.submit(travellers.failing, error).exception()
    assert type(arrived) is cls
    assert str(arrived) == str(error)
    assert arrived.__notes__ == ["a note"]


def test_an_error_of_ones_own_travels():
    for error in (travellers.OwnError(3, "x"), travellers.OwnError(3, y="x")):
        other = pickle.loads(pickle.dumps(error))
        assert (type(other), str(other), other.number) == (type(error), str(error), 3)


def test_the_log_for_tensorboard_opens_files_of_its_own(monkeypatch, tmp_path):
    class Writer:
        def __reduce__(self):
            raise TypeError("an open file")

    monkeypatch.setattr("chainrule.training.callbacks.need_tensorboard", lambda: None)
    log = cr.TensorBoardLog(tmp_path)
    log._writers[0] = Writer()
    for way in (*WAYS.values(), copy.copy):
        other = way(log)
        assert (other.folder, other._writers) == (tmp_path, {})
    assert log._writers


FUNCTIONS_OF_FUNCTIONS = {
    "grad": lambda: cr.grad(travellers.doubled),
    "value_and_grad": lambda: cr.value_and_grad(travellers.doubled),
    "jacobian": lambda: cr.jacobian(travellers.half_plane),
    "hessian": lambda: cr.hessian(travellers.doubled),
    "grad of grad": lambda: cr.jacobian(cr.grad(travellers.doubled)),
    "compile": lambda: cr.compile(travellers.doubled),
    "compiled gradient": lambda: cr.compile(cr.grad(travellers.doubled), nonfinite="raise"),
    "decorated": lambda: travellers.compiled_here,
    "compiled method": lambda: cr.compile(travellers.Twice(3.0).loss),
    "partial": lambda: functools.partial(cr.mean, keepdims=True),
    "as_function": lambda: functools.partial(nn.as_function(nn.Linear(2, 1, seed=0)), np.ones(3)),
}


@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS_OF_FUNCTIONS)
def test_functions_of_functions_travel(name, called_before, worker):
    f = FUNCTIONS_OF_FUNCTIONS[name]()
    x = np.array([[1.0, 2.0]] if name == "as_function" else [1.0, 2.0, -3.0], np.float32)
    expected = cr.value_and_grad(travellers.doubled)(x) if name == "value_and_grad" else f(x)
    f = f if called_before else FUNCTIONS_OF_FUNCTIONS[name]()
    for found in (*(way(f)(x) for way in WAYS.values()), worker.submit(travellers.called, f, x).result()):
        assert not list(differences(expected, found))


def test_a_derivation_says_the_same_elsewhere():
    w, x = cr.tensor([0.5, 2.0], requires_grad=True), cr.tensor([2.0, 1.0])
    r = cr.tanh(w * x)
    loss = (r * r).sum()
    net = nn.GraphNetwork(NET, ["x"], ["o"])
    for found in (cr.explain(loss, paths=["w", "w[1]"]), cr.explain(net, [1.0])):
        for way in WAYS.values():
            other = way(found)
            assert str(other) == str(found)
            assert other.markdown() == found.markdown()
            assert other.html() == found.html()
            assert not list(differences(found.paths, other.paths))
            if found.steps is not None:
                np.testing.assert_array_equal(other["w"].gradient, found["w"].gradient)
                np.testing.assert_array_equal(other["r"].value, r.numpy())
