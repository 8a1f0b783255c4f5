"""Models and optimizers that were copied or sent go on as the original does, bit for bit, and apart from it."""

import copy
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import travellers
from joblib import Parallel, delayed
from sameness import differences, order
from ways import FEW as WAYS
from ways import cloudpickled

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import GradientError, ModelFileError, TracingError

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 4)).astype(np.float32)
X[:, 3] = np.arange(20) % 5  # codes, for the embedding of a category
Y = np.sin(X[:, :1])
ROWS = (X, Y)
EDGES = [(a, b) for a in "wxyz" for b in "hi"] + [("h", "o"), ("i", "o")]


def wide():
    model = nn.MLP([4, 40, 40, 1], seed=0, dtype=np.float64)
    model.parameters()[0].requires_grad = False
    return model


MODELS = {
    "mlp": lambda: nn.MLP([4, 6, 5, 1], "tanh", seed=0),
    "dropout and batch norm": lambda: nn.MLP([4, 6, 5, 1], "relu", dropout=0.25, batch_norm=True, seed=0),
    "averaged": lambda: nn.Averaged(nn.MLP([4, 6, 1], "gelu", seed=0), decay=0.5),
    "masked": lambda: nn.Sequential(
        nn.MaskedLinear(nn.group_mask([[0, 1], [2, 3]], 2), seed=0), nn.LeakyReLU(), nn.Linear(4, 1, seed=1)
    ),
    "polynomial": lambda: nn.Sequential(nn.PolynomialFeatures(4), nn.Linear(15, 1, seed=0)),
    "embeddings": lambda: nn.Sequential(
        nn.CategoryEmbedding({3: 4}, 2, in_features=4, seed=0),
        nn.NumberEmbedding([2, 0], in_features=5, frequencies=3, size=2, seed=1),
        nn.NumberEmbedding([1, 3], "piecewise", edges=[[-1, 0, 1], [0, 2]], in_features=9, seed=1),
        nn.Linear(15, 1, seed=0),
    ),
    "dropped weights": lambda: nn.Sequential(
        nn.WeightDropout(nn.Linear(4, 5, seed=0), 0.3, seed=1),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(5, 1, seed=2),
    ),
    "graph": lambda: nn.GraphNetwork(
        EDGES, "wxyz", "o", "tanh", "constant", output_activation="identity", seed=0
    ),
    "tied graph": lambda: nn.GraphNetwork(
        EDGES, "wxyz", "o", "silu", tied=[EDGES[:2], EDGES[2:5]], output_activation="identity", seed=0
    ),
    "activations": lambda: nn.Sequential(
        *(nn.Linear(4, 4, seed=0), nn.SiLU(), nn.Linear(4, 4, seed=1), nn.GELU(), nn.Softplus(), nn.ReLU()),
        *(nn.Tanh(), nn.Linear(4, 3, seed=2), nn.Softmax(), nn.ReferenceClass(), nn.Logistic()),
        *(nn.Linear(4, 1, seed=3), nn.Identity()),
    ),
    "steps": lambda: nn.Sequential(nn.Sign(), nn.Linear(4, 3, seed=0), nn.Step(), nn.Linear(3, 1, seed=1)),
    "own": travellers.Residual,
    "wide and partly frozen": wide,
    "float64": lambda: nn.MLP([4, 6, 1], dtype=np.float64, seed=0),
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def test_every_layer_is_among_the_models():
    there = {type(part) for make in MODELS.values() for _, part in make().named_modules()}
    layers = {cls for cls in vars(nn).values() if isinstance(cls, type) and issubclass(cls, nn.Module)}
    assert layers - there == {nn.Module, nn.AbsorbedLoss}  # the latter gives a loss


def same(a, b):
    assert not list(differences(a, b))


def under_way(model, optimizer=None):
    """A model in the midst of training: mode, gradients, counters and optimizer state are not as at first."""
    model.predict(X)
    optimizer = optimizer or optim.SGD(0.01, momentum=0.9, weight_decay=0.01)
    optimizer.attach([p for p in model.parameters() if p.requires_grad])
    travellers.steps(model, optimizer, ROWS, 3)
    return model, optimizer


def test_as_it_is_made(model, way):
    same(model, way(model))


def test_predictions_and_further_training_are_equal(model, way):
    model, optimizer = under_way(model)
    twin, own = way((model, optimizer))
    same((model, optimizer), (twin, own))
    assert [id(p) for p in own.parameters] == [id(p) for p in twin.parameters() if p.requires_grad]
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    before = pickle.dumps((model, optimizer))
    travellers.steps(twin, own, ROWS, 3)
    assert pickle.dumps((model, optimizer)) == before  # the one does not touch the other
    travellers.steps(model, optimizer, ROWS, 3)
    same((model, optimizer), (twin, own))
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


@pytest.mark.parametrize("name", MODELS)
def test_machine_code_belongs_to_the_one_that_made_it(name, way):
    def expected(one):
        fresh = MODELS[name]().eval()
        fresh.load_state_dict(one.state_dict())
        return fresh.predict(X)

    model = MODELS[name]().eval()
    first = model.predict(X)
    twin = way(model)
    twin.predict(X)
    for one, value in ((twin, 0.5), (model, -0.5), (twin, 0.25)):
        bias = one.parameters()[-1]
        bias.assign(np.full_like(bias.numpy(), value))
        for other in (model, twin):
            np.testing.assert_array_equal(other.predict(X), expected(other))
        assert not np.array_equal(one.predict(X), first)


@pytest.mark.parametrize("name", ["mlp", "dropout and batch norm", "tied graph", "own", "averaged"])
def test_fit_goes_on_alike(name, way):
    model, _ = travellers.trained(MODELS[name](), ROWS, 0)
    twin = way(model)
    for one in (model, twin):
        travellers.trained(one, ROWS, 1)
    same(model, twin)


@pytest.mark.parametrize("name", ["mlp", "dropout and batch norm", "tied graph", "own", "averaged"])
def test_another_process_trains_to_the_same_bits(name, worker):
    model = MODELS[name]()
    there, other = worker.submit(travellers.trained, model, ROWS, 5).result()
    here, history = travellers.trained(model, ROWS, 5)
    same(here, there)
    history.seconds = other.seconds
    same(history, other)


def test_compiled_steps_of_copies(way):
    model, optimizer = MODELS["dropout and batch norm"](), optim.Adam(0.01)
    optimizer.attach(model)

    def step_of(model, optimizer):
        def step(x, y):
            loss = nn.squared_error(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return cr.compile(step)

    step = step_of(model, optimizer)
    step(X, Y)
    twin, own = way((model, optimizer))
    other = step_of(twin, own)
    losses = [[float(s(X, Y)) for _ in range(3)] for s in (step, other)]
    assert losses[0] == losses[1]
    same((model, optimizer), (twin, own))


def test_a_compiled_step_goes_to_a_worker_with_all_that_it_uses(worker):
    model, optimizer = under_way(MODELS["dropout and batch norm"]())

    @cr.compile
    def step(x, y):
        loss = nn.squared_error(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    model.zero_grad()
    step(X, Y)
    sent = bytes(cloudpickled(step))
    there = [float(loss) for loss in worker.submit(travellers.repeated, sent, 3, X, Y).result()]
    assert there == [float(step(X, Y)) for _ in range(3)]


@pytest.mark.parametrize("way", [*WAYS, "copy"])
def test_a_module_says_itself_what_is_left_behind(way):
    model = travellers.Caching()
    twin = {**WAYS, "copy": copy.copy}[way](model)
    assert model.cache() == 1 and twin.cache is None
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


OPTIMIZERS = {
    "sgd": lambda: optim.SGD(optim.StepDecay(0.1, 0.5, 2)),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optim.RMSprop(0.01, momentum=0.5, centered=True),
    "adam": lambda: optim.Adam(optim.Warmup(optim.InverseTime(0.01, 0.5), 2)),
    "adamw": lambda: optim.AdamW(optim.OneCycle(0.01, 10), decay_biases=True),
    "nadam": lambda: optim.NAdam(optim.tabulate(lambda step: 0.01 / (step + 1), 5)),
    "adagrad": lambda: optim.Adagrad(optim.CosineDecay(0.1, 20)),
    "groups": lambda: optim.groups({"0": optim.SGD(0.1, momentum=0.5), "*": optim.Adam(0.01)}),
    "of one's own": lambda: travellers.SignDescent(optim.Constant(0.01)),
}


def test_every_optimizer_is_there():
    there = {type(make()) for make in OPTIMIZERS.values()}
    kinds = {c for c in vars(optim).values() if isinstance(c, type) and issubclass(c, optim.Optimizer)}
    assert kinds - there == {optim.Optimizer}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_in_the_midst_of_training(name, way):
    model, optimizer = under_way(nn.MLP([4, 5, 1], seed=0), OPTIMIZERS[name]())
    twin, own = way((model, optimizer))
    assert {t.item() for name, t in own.named_state() if name.endswith("steps")} == {3}
    assert repr(own) == repr(optimizer)
    for one in ((model, optimizer), (twin, own)):
        travellers.steps(*one, ROWS, 3)
    same((model, optimizer), (twin, own))


def test_a_shallow_copy_of_an_optimizer_has_a_state_of_its_own():
    _, optimizer = under_way(nn.MLP([4, 5, 1], seed=0), optim.NAdam(0.01))
    other = copy.copy(optimizer)
    assert all(p is q for p, q in zip(optimizer.parameters, other.parameters, strict=True))
    state = optimizer.state_dict()
    other.lr = 0.5
    other.step()
    assert optimizer.lr == 0.01
    same(state, optimizer.state_dict())


def test_a_shallow_copy_of_a_module_shares_its_parameters_and_not_its_machine_code():
    model = MODELS["mlp"]()
    first = model.predict(X)
    other = copy.copy(model)
    assert all(p is q for p, q in zip(model.parameters(), other.parameters(), strict=True))
    other.parameters()[-1].assign([7.0])
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    assert not np.array_equal(first, other.predict(X))
    setattr(other, "4", nn.Linear(5, 1, seed=9))  # a part of the copy alone
    for one in (model, other):
        np.testing.assert_allclose(one.predict(X), one(X).numpy(), rtol=1e-5)
    assert not np.array_equal(model.predict(X), other.predict(X))


# Tensors


def test_sharing_inside_one_pickle_stays(way):
    w = nn.Linear(3, 2, seed=0).weight
    twins = way({"w": w, "again": [w], "value": w.detach()})
    assert twins["again"][0] is twins["w"]
    if way not in (WAYS["joblib"], WAYS["out of band"]):  # where an array goes as often as it comes
        twins["w"].assign(np.ones((2, 3)))
        np.testing.assert_array_equal(twins["value"].numpy(), np.ones((2, 3)))
    assert w.numpy().sum() != 6


VIEWS = {
    "as it comes": lambda a: a,
    "transposed": lambda a: a.T,
    "axes in any order": lambda a: a.transpose(1, 2, 0),
    "reversed": lambda a: a[::-1, :, ::-1],
    "every other": lambda a: a[:, ::2],
    "broadcast": lambda a: np.broadcast_to(a[:1], (5, 3, 4)),
    "scalar": lambda a: a[0, 0, 0],
    "empty": lambda a: a[:0],
    "one axis": lambda a: a[:, 0, 0],
}


@pytest.mark.parametrize("view", VIEWS)
def test_any_layout_of_any_dtype(view, way):
    for dtype in cr.ops.dtypes.DTYPES:
        array = np.asarray(VIEWS[view](np.arange(24).reshape(2, 3, 4).astype(dtype)))
        tensor = cr.Tensor.leaf(array, requires_grad=dtype.kind == "f")
        twin = way(tensor)
        np.testing.assert_array_equal(twin.numpy(), array)
        assert (twin.dtype, twin.shape, twin.requires_grad) == (dtype, array.shape, tensor.requires_grad)
        assert twin.numpy().flags.writeable and not np.shares_memory(twin.numpy(), array)
        if view != "broadcast":
            assert order(twin.numpy()) == order(array)
        if view in ("as it comes", "transposed", "scalar"):
            assert twin.numpy().strides == array.strides
        twin.assign(np.zeros_like(array))
        if array.size and dtype.kind == "f":
            (twin * twin).sum().backward()
            assert twin.grad is not None and tensor.grad is None


def test_bytes_in_the_other_order_are_swapped():
    tensor = cr.Tensor.leaf(np.arange(3.0, dtype=np.float32))
    kind, (version, cls, value, *rest), _ = tensor.__reduce__()
    twin = kind(version, cls, value.astype(">f4"), *rest)
    assert twin.numpy().dtype.isnative
    np.testing.assert_array_equal(twin.numpy(), value)


@pytest.mark.parametrize("way", {**WAYS, "copy": copy.copy}.values(), ids=[*WAYS, "copy"])
def test_a_tensor_with_a_history_is_refused(way):
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    y = w * w
    remembering = travellers.Remembering()
    remembering(X)
    for thing in (y,) if way is copy.copy else (y, [y], remembering):
        with pytest.raises(GradientError, match=r"(?s)computed tensor.*detach"):
            way(thing)
    with cr.no_grad():
        plain = w * w
    for value in (y.detach(), plain, cr.tensor([1.0]) * 2.0):
        same(value, way(value))


@pytest.mark.parametrize("way", WAYS)
def test_what_a_traced_forward_pass_has_left_behind_is_refused(way):
    model = travellers.Remembering()
    cr.fit(model, ROWS, loss=nn.squared_error, optimizer=optim.SGD(0.01), epochs=1)
    with pytest.raises(TracingError, match=r"(?s)traced tensor.*set the attribute to None"):
        WAYS[way](model)
    model.last = None
    same(model, WAYS[way](model))


def test_callbacks_may_copy_the_model_as_it_is(way):
    model, kept = MODELS["dropout and batch norm"](), []

    def keep(epoch):
        kept.append(
            (way(epoch.model), way(epoch.optimizer), epoch.model.state_dict(), epoch.model.predict(X))
        )

    cr.fit(
        *(model, ROWS),
        loss=nn.squared_error,
        optimizer=optim.Adam(0.05),
        epochs=3,
        restarts=2,
        callbacks=[keep],
    )
    assert len(kept) == 6
    for twin, optimizer, state, predicted in kept:
        same(twin.state_dict(), state)
        assert optimizer.steps.item() > 0
        np.testing.assert_array_equal(twin.predict(X), predicted)


def test_gradients_and_frozen_parameters_stay(way):
    model, _ = under_way(nn.MLP([4, 5, 1], batch_norm=True, seed=0))
    model.parameters()[0].requires_grad = False
    twin = way(model.eval())
    assert [p.requires_grad for p in twin.parameters()] == [False] + [True] * (len(twin.parameters()) - 1)
    assert not any(part.training for _, part in twin.named_modules())
    same([p.grad for p in model.parameters()], [p.grad for p in twin.parameters()])
    twin.zero_grad()
    assert all(p.grad is not None for p in model.parameters())


# Files of joblib, and its arrays that lie in files


@pytest.mark.parametrize("mode", [None, "r", "r+", "c"])
def test_a_model_read_from_a_mapped_file_trains_and_leaves_the_file_alone(mode, tmp_path):
    model, optimizer = under_way(MODELS["mlp"]())
    path = tmp_path / "model.joblib"
    joblib.dump((model, optimizer), path)
    content = path.read_bytes()
    twin, own = joblib.load(path, mmap_mode=mode)
    same((model, optimizer), (twin, own))
    assert type(twin.parameters()[0].numpy()) is np.ndarray
    for one in ((model, optimizer), (twin, own)):
        travellers.steps(*one, ROWS, 2)
        travellers.trained(one[0], ROWS, 1)
    same(model, twin)
    assert path.read_bytes() == content


def test_workers_of_joblib_train_what_they_are_sent_in_a_file():
    models = [MODELS["wide and partly frozen"](), MODELS["dropout and batch norm"]()]
    for model in models:
        model.parameters()[0].requires_grad = True
        model.predict(X)
    sent = copy.deepcopy(models)
    found = Parallel(n_jobs=2, max_nbytes=100)(
        delayed(travellers.trained)(m, ROWS, i) for i, m in enumerate(sent)
    )
    same(models, sent)
    for i, (model, (there, _)) in enumerate(zip(models, found, strict=True)):
        same(travellers.trained(model, ROWS, i)[0], there)
    outputs = Parallel(n_jobs=2, max_nbytes=100)(delayed(travellers.predicted)(m, X) for m in models)
    for model, output in zip(models, outputs, strict=True):
        np.testing.assert_array_equal(model.predict(X), output)


def test_the_hash_of_a_model_tells_its_value(tmp_path):
    model = MODELS["dropout and batch norm"]()
    first = joblib.hash(model)
    model.predict(X)
    for way in WAYS.values():
        assert joblib.hash(model) == joblib.hash(way(model)) == first
    cached = joblib.Memory(tmp_path, verbose=0).cache(travellers.predicted)
    np.testing.assert_array_equal(cached(model, X), cached(model, X))
    assert cached.check_call_in_cache(model, X)
    model.parameters()[0].assign(2 * model.parameters()[0])
    assert joblib.hash(model) != first and not cached.check_call_in_cache(model, X)
    np.testing.assert_array_equal(cached(model, X), model.predict(X))


# Versions, and what cannot travel


@pytest.mark.parametrize("make", [lambda: cr.tensor([1.0]), MODELS["mlp"], nn.Tanh, lambda: optim.SGD(0.1)])
def test_another_version_is_refused(make):
    here = cr.__version__.encode()
    major, minor, patch = here.split(b".")
    data = pickle.dumps(make(), 2)
    assert here in data
    pickle.loads(data.replace(here, b"%s.%s.%c" % (major, minor, (patch[0] - 47) % 10 + 48)))
    other = data.replace(here, b"%c.%s.%s" % ((major[0] - 47) % 10 + 48, minor, patch))
    with pytest.raises(ModelFileError, match="another version"):
        pickle.loads(other)


def test_what_a_run_was_given_is_not_kept_in_what_it_leaves():
    def watch(epoch):
        return False

    model = nn.MLP([4, 3, 1], seed=0)
    history = cr.fit(
        model,
        ROWS,
        loss=lambda a, b: ((a - b) ** 2).mean(),
        optimizer=optim.SGD(lambda step: 0.1 / (1 + step)),
        penalty=lambda m: 0.01 * m.parameters()[0].sum(),
        callbacks=[watch],
        epochs=2,
        restarts=2,
    )
    same(history, pickle.loads(pickle.dumps(history)))
    same(history.ensemble().predict(X), pickle.loads(pickle.dumps(history.ensemble())).predict(X))


UNNAMED = {
    "schedule": lambda: optim.SGD(lambda step: 0.1),
    "initialiser": lambda: nn.Linear(2, 1, weight_initialiser=lambda rng, shape: np.ones(shape)),
    "loss": lambda: nn.AbsorbedLoss(lambda a, b: (a - b).sum(), 1.0),
    "compiled": lambda: cr.compile(lambda x: 2 * x),
    "gradient": lambda: cr.grad(lambda x: x * x),
}


@pytest.mark.parametrize("name", UNNAMED)
def test_functions_without_a_name_travel_by_cloudpickle_alone(name):
    thing = UNNAMED[name]()
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(thing)
    assert type(WAYS["cloudpickle"](thing)) is type(thing)


SCRIPT = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import joblib
import numpy as np

import chainrule as cr
from chainrule import nn


@cr.compile
def tripled(x):
    return 3.0 * x


class Own(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(2, 1, seed=0)

    def forward(self, x):
        return cr.tanh(self.inner(x))


def applied(f, x):
    return f.predict(x) if isinstance(f, nn.Module) else f(x)


if __name__ == "__main__":
    own = Own()
    x = np.ones((3, 2), np.float32)
    here = [tripled(x).tolist(), own.predict(x).tolist()]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert [y.tolist() for y in pool.map(applied, [tripled, own], [x, x])] == here
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(applied)(f, x) for f in (tripled, own))
    assert [y.tolist() for y in found] == here
    print("done")
"""


def test_what_a_script_defines_gets_to_its_workers(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout == "done\n", done.stderr


def test_nothing_of_the_place_is_in_a_pickle():
    model, optimizer = under_way(MODELS["mlp"]())
    data = pickle.dumps((model, optimizer, cr.compile(travellers.doubled)))
    for never in (b"ctypes", b"compiler", str(Path.cwd()).encode(), str(Path(cr.__file__).parent).encode()):
        assert never not in data
    assert len(pickle.dumps(MODELS["mlp"]())) < 4000
