import copy
import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import GradientError, ModelFileError, SettingError, ShapeError, TracingError
from chainrule.graph import topological
from chainrule.ops.source import constant
from chainrule.trace import tracing

OPTIMIZERS = {
    "SGD": optim.SGD,
    "momentum": lambda lr: optim.SGD(lr, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda lr: optim.SGD(lr, momentum=0.9, nesterov=True),
    "RMSprop": optim.RMSprop,
    "centered": lambda lr: optim.RMSprop(lr, momentum=0.9, centered=True),
    "Adagrad": lambda lr: optim.Adagrad(lr, lr_decay=0.1),
    "Adam": optim.Adam,
    "amsgrad": lambda lr: optim.Adam(lr, amsgrad=True, weight_decay=0.1),
    "AdamW": optim.AdamW,
    "NAdam": optim.NAdam,
}
RATES = {
    "number": 0.05,
    "inverse": optim.InverseTime(0.05, decay=0.3),
    "steps": optim.StepDecay(0.05, factor=0.5, every=3),
    "cosine": optim.CosineDecay(0.05, steps=6),
    "warmup": optim.Warmup(0.05, steps=3),
    "cycle": optim.OneCycle(0.05, steps=8),
    "table": optim.tabulate(lambda step: 0.05 / (1 + step // 2), steps=6),
}


def steps_of(opt, loss):
    def step():
        opt.zero_grad()
        loss().backward()
        opt.step()

    return step


def run(opt, loss, count):
    for _ in range(count):
        steps_of(opt, loss)()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_eager_equals_traced_bit_for_bit(network, traced, name, dtype):
    runs = []
    for graph in (False, True):
        parameters, loss = network(dtype)
        opt = OPTIMIZERS[name](0.05).attach(parameters)
        step = steps_of(opt, loss)
        step = traced(step) if graph else step
        for _ in range(20):
            step()
        runs.append({**opt.state_dict(), **{f"p{i}": p.numpy().copy() for i, p in enumerate(parameters)}})
    eager, graph = runs
    assert eager.keys() == graph.keys()
    assert graph["steps"] == 20
    for key, value in eager.items():
        np.testing.assert_array_equal(value, graph[key], err_msg=key)


@pytest.mark.parametrize("name", RATES)
def test_eager_equals_traced_under_schedules(network, traced, name):
    runs = []
    for graph in (False, True):
        parameters, loss = network(np.float32)
        step = steps_of(optim.Adam(RATES[name]).attach(parameters), loss)
        step = traced(step) if graph else step
        for _ in range(10):
            step()
        runs.append([p.numpy().copy() for p in parameters])
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_tracing_leaves_everything_as_it_was(network):
    parameters, loss = network()
    opt = optim.NAdam(0.1).attach(parameters)
    run(opt, loss, 2)
    before = opt.state_dict()
    nodes = [tensor.node for _, tensor in opt.named_state()]
    with tracing():
        steps_of(opt, loss)()
    assert all(a is tensor.node for a, (_, tensor) in zip(nodes, opt.named_state(), strict=True))
    for name, value in opt.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def primitives(opt, count):
    """Primitives other than constants in the graph of an update of so many parameters."""
    parameters = [cr.tensor(np.ones(3, np.float32), requires_grad=True) for _ in range(count)]
    opt.attach(parameters)
    for p in parameters:
        p.grad = cr.tensor(np.ones(3, np.float32))
    with tracing() as trace:
        opt.step()
    return sum(node.op is not constant for node in topological([after for _, _, after in trace.updates]))


@pytest.mark.parametrize(
    ("name", "most"),
    [("SGD", 2), ("momentum", 6), ("nesterov", 6), ("RMSprop", 9), ("Adam", 12), ("NAdam", 14)],
)
def test_few_primitives_for_each_parameter(name, most):
    # besides: leaves and in-place assignments (identity) of p and state, the leaf of g, one detach
    opt = OPTIMIZERS[name](0.1)
    bookkeeping = 2 * (1 + len(opt.slots())) + 2
    assert primitives(opt, 5) - primitives(opt, 4) - bookkeeping <= most


def test_scalar_work_does_not_grow_with_the_parameters():
    grown = [primitives(optim.Adam(optim.OneCycle(0.1, steps=9)), n) for n in (1, 2, 3)]
    fixed = [primitives(optim.Adam(0.1), n) for n in (1, 2, 3)]
    assert grown[2] - grown[1] == grown[1] - grown[0] == fixed[1] - fixed[0]


def test_all_updates_use_the_values_before(golden):
    # row B18: W's update must not see the new V
    case, want = golden["inputs"], golden["expected"]
    x, y = cr.tensor(np.array(case["x_with_x0"])), cr.tensor(np.array(case["y"]))
    V, W = (cr.tensor(np.array(case[k]), requires_grad=True) for k in ("V_k_m", "W_m_j"))
    hidden = cr.concat([cr.tensor(np.ones(1)), cr.logistic(W @ x)])
    (0.5 * (cr.logistic(V @ hidden) - y) ** 2).sum().backward()
    optim.SGD(case["alpha"]).attach([V, W]).step()
    np.testing.assert_allclose(V.numpy(), want["V_next"], rtol=1e-11)
    np.testing.assert_allclose(W.numpy(), want["W_next_simultaneous"], rtol=1e-11)


@pytest.fixture
def golden():
    from pathlib import Path

    text = (Path(__file__).parents[1] / "data" / "golden.json").read_text()
    return json.loads(text)["B_three_layer_q2"]


# Weight decay and biases


@pytest.mark.parametrize(
    "kind", [optim.SGD, optim.RMSprop, optim.Adagrad, optim.Adam, optim.AdamW, optim.NAdam]
)
@pytest.mark.parametrize("decay_biases", [False, True])
def test_biases_decay_only_when_asked(kind, decay_biases):
    changed = []
    for weight_decay in (0.0, 0.5):
        layer = nn.Linear(3, 2, seed=0)
        layer.bias.assign(np.ones(2, np.float32))
        opt = kind(0.1, weight_decay=weight_decay, decay_biases=decay_biases).attach(layer)
        for _ in range(2):
            opt.zero_grad()
            layer([[1.0, 2.0, 3.0]]).sum().backward()
            opt.step()
        changed.append([layer.weight.numpy().copy(), layer.bias.numpy().copy()])
    (weight, bias), (decayed_weight, decayed_bias) = changed
    assert not np.array_equal(weight, decayed_weight)
    assert np.array_equal(bias, decayed_bias) is not decay_biases


def test_coupled_decay_is_the_gradient_of_an_l2_penalty(network):
    # row A17: the gradient of lambda w^2 is 2 lambda w
    parameters, loss = network()
    twins, other_loss = network()
    opt = optim.Adam(0.1, weight_decay=0.2).attach(parameters)
    penalised = optim.Adam(0.1).attach(twins)
    for _ in range(3):
        steps_of(opt, loss)()
        steps_of(penalised, lambda: other_loss() + sum(0.1 * (p * p).sum() for p in twins))()
    for p, q in zip(parameters, twins, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-12)


# The learning rate


def test_lr_can_be_read_and_set_between_steps():
    w = cr.tensor([1.0], requires_grad=True)
    opt = optim.SGD(0.5).attach([w])
    assert opt.lr == 0.5
    for lr, expected in ((0.5, 0.5), (0.25, 0.25), (optim.Constant(0.125), 0.125), (1, 1.0)):
        opt.lr = lr
        assert opt.lr == lr
        before = w.item()
        w.grad = cr.tensor([1.0])
        opt.step()
        assert w.item() == before - expected
    with pytest.raises(SettingError, match="lr"):
        opt.lr = -1.0
    assert opt.lr == 1


def test_another_step_size_needs_no_other_graph(traced):
    w = cr.tensor([1.0], requires_grad=True)
    opt = optim.SGD(0.5).attach([w])
    w.grad = cr.tensor([1.0])
    step = traced(opt.step)
    step()
    opt.lr = 0.125
    step()
    assert w.item() == 1.0 - 0.5 - 0.125


def test_ordinary_python_functions_serve_eagerly_and_say_how_to_be_traced():
    seen = []

    def lr(step):
        seen.append(step)
        return 0.5 if step < 2 else [0.25, 0.125][step % 2]

    w = cr.tensor([4.0], requires_grad=True)
    opt = optim.SGD(lr).attach([w])
    seen.clear()
    for _ in range(4):
        w.grad = cr.tensor([1.0])
        opt.step()
    assert w.item() == 4.0 - 0.5 - 0.5 - 0.25 - 0.125
    assert seen == [0, 1, 2, 3]
    with tracing(), pytest.raises(TracingError, match="tabulate"):
        opt.step()
    assert opt.steps.item() == 4
    opt.lr = optim.tabulate(lr, 10)
    with tracing():
        opt.step()


def test_functions_of_tensor_operations_are_traced(traced):
    w = cr.tensor([4.0], requires_grad=True)
    opt = optim.SGD(lambda step: 1.0 / (step + 1)).attach([w])
    w.grad = cr.tensor([1.0])
    step = traced(opt.step)
    for _ in range(3):
        step()
    assert w.item() == np.float32(4.0) - np.float32(1) - np.float32(0.5) - np.float32(1 / 3)


def test_function_that_returns_no_step_size():
    for wrong in (lambda step: -1.0, lambda step: float("nan"), lambda step: [0.1, 0.2]):
        w = cr.tensor([1.0], requires_grad=True)
        opt = optim.SGD(wrong).attach([w])
        w.grad = cr.tensor([1.0])
        with pytest.raises(SettingError, match="of step 0"):
            opt.step()
        assert w.item() == 1.0


def test_fault_in_a_function_is_shown_as_it_is():
    w = cr.tensor([1.0], requires_grad=True)
    opt = optim.SGD(lambda step: {"a": 0.1}["b"]).attach([w])
    w.grad = cr.tensor([1.0])
    with pytest.raises(KeyError, match="b"):
        opt.step()


# What is attached


def test_parameters_without_gradient_are_left_alone():
    used, unused = cr.tensor([1.0], requires_grad=True), cr.tensor([1.0], requires_grad=True)
    opt = optim.AdamW(0.1).attach([used, unused])
    (used * used).sum().backward()
    opt.step()
    assert used.item() != 1.0
    assert unused.item() == 1.0


def test_float32_and_float64_parameters_together():
    single = cr.tensor(np.ones(2, np.float32), requires_grad=True)
    double = cr.tensor(np.ones(2, np.float64), requires_grad=True)
    opt = optim.Adam(0.1).attach([single, double])
    for _ in range(3):
        opt.zero_grad()
        ((single * single).sum() + (double * double).sum()).backward()
        opt.step()
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single.numpy(), double.numpy(), rtol=1e-6)


def test_step_says_what_is_missing():
    w = cr.tensor([1.0], requires_grad=True)
    with pytest.raises(SettingError, match="attach"):
        optim.SGD(0.1).step()
    with pytest.raises(GradientError, match="backward"):
        optim.SGD(0.1).attach([w]).step()


def test_attach_refuses_what_cannot_be_trained():
    w = cr.tensor([[1.0, 2.0]], requires_grad=True)
    for wrong, said in (
        ([np.ones(3)], "ndarray"),
        ([cr.tensor([1.0])], "requires_grad=True"),
        ([w * 2], "computed tensor"),
        (w, "computed tensor"),
        ([w, w], "given twice"),
    ):
        with pytest.raises(SettingError, match=said):
            optim.SGD(0.1).attach(wrong)


def test_zero_grad():
    w = cr.tensor([1.0], requires_grad=True)
    opt = optim.SGD(0.1).attach([w])
    (w * w).sum().backward()
    opt.zero_grad()
    assert w.grad is None


def test_attach_starts_anew_and_a_copy_has_a_state_of_its_own(network):
    parameters, loss = network()
    opt = optim.NAdam(0.1).attach(parameters)
    run(opt, loss, 3)
    before = opt.state_dict()
    twin = copy.copy(opt).attach(parameters)
    assert twin.steps.item() == 0
    assert twin.shared_state["momentum_product"].item() == 1.0
    run(twin, loss, 2)
    for name, value in opt.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# State and settings


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_saved_state_continues_identically(network, name):
    parameters, loss = network(np.float32)
    opt = OPTIMIZERS[name](0.05).attach(parameters)
    run(opt, loss, 3)
    opt.lr = 0.01
    state, values = opt.state_dict(), [p.numpy().copy() for p in parameters]
    run(opt, loss, 3)

    again, other_loss = network(np.float32)
    for p, value in zip(again, values, strict=True):
        p.assign(value)
    resumed = OPTIMIZERS[name](0.05).attach(again)
    resumed.load_state_dict(state)
    assert resumed.lr == 0.01
    run(resumed, other_loss, 3)
    for p, q in zip(parameters, again, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_state_is_named_after_the_model_and_copied():
    opt = optim.Adam(0.1).attach(nn.Linear(2, 1, seed=0))
    state = opt.state_dict()
    names = ["steps", "lr", "weight.mean", "weight.square", "bias.mean", "bias.square"]
    assert list(state) == names
    state["weight.mean"] += 1
    assert not opt.state[0]["mean"].numpy().any()


def test_state_of_another_optimizer_or_model_is_refused_whole():
    opt = optim.Adam(0.1).attach(nn.Linear(2, 1, seed=0))
    before = opt.state_dict()
    for other in (optim.SGD(0.1), optim.Adam(0.1, amsgrad=True)):
        with pytest.raises(ModelFileError, match="does not fit this Adam"):
            opt.load_state_dict(other.attach(nn.Linear(2, 1, seed=0)).state_dict())
    with pytest.raises(ShapeError, match=r"weight\.mean"):
        opt.load_state_dict(optim.Adam(0.7).attach(nn.Linear(3, 1, seed=0)).state_dict())
    assert opt.lr == 0.1
    for name, value in opt.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_repr_makes_the_same_optimizer(name):
    opt = OPTIMIZERS[name](0.05)
    again = eval(repr(opt), vars(optim))
    assert repr(again) == repr(opt)
    assert again.describe() == opt.describe()


@pytest.mark.parametrize(
    "rate", [*RATES.values(), optim.Warmup(optim.CosineDecay(1.0, 9), 3), lambda step: 0.1]
)
def test_describe_is_json(rate):
    described = optim.Adam(rate).describe()
    assert described["name"] == "Adam"
    assert list(described)[:4] == ["name", "lr", "betas", "eps"]
    assert json.loads(json.dumps(described))["lr"] == described["lr"]


def test_describe_names_schedules_inside_schedules():
    schedule = optim.Warmup(optim.CosineDecay(1.0, steps=9), steps=3)
    assert optim.SGD(schedule).describe()["lr"] == {
        "name": "Warmup",
        "schedule": {"name": "CosineDecay", "lr": 1.0, "steps": 9, "final": 0.0},
        "steps": 3,
    }


# Fresh copies

FRESH = {
    "SGD": lambda: optim.SGD(0.1, momentum=0.9),
    "Adam": lambda: optim.Adam(optim.StepDecay(0.1, 0.5, 3)),
    "NAdam": lambda: optim.NAdam(0.01),
    "groups": lambda: optim.groups({"weight": optim.SGD(0.1), "*": optim.Adam(0.01)}),
}


@pytest.mark.parametrize("kind", FRESH)
def test_a_fresh_copy_has_the_settings_and_nothing_else(kind):
    """Neither state nor parameters; what is done with it leaves the original alone, and the other way round."""
    model = nn.Linear(2, 1, seed=0, dtype=np.float64)
    used = FRESH[kind]().attach(model)
    for _ in range(2):
        used.zero_grad()
        cr.sum(model(np.ones((3, 2))) ** 2).backward()
        used.step()
    before = used.state_dict()
    fresh = used.fresh()
    assert repr(fresh) == repr(FRESH[kind]()) and fresh.parameters == [] and not isinstance(fresh.lr, tuple)
    twin = copy.deepcopy(model)
    fresh.attach(twin)
    assert {name: a.tolist() for name, a in fresh.state_dict().items()} == {
        name: a.tolist() for name, a in FRESH[kind]().attach(copy.deepcopy(model)).state_dict().items()
    }
    cr.sum(twin(np.ones((3, 2))) ** 2).backward()
    fresh.step()
    assert all((used.state_dict()[name] == value).all() for name, value in before.items())


def test_a_fresh_copy_with_another_learning_rate():
    used = optim.SGD(0.1)
    assert used.fresh(lr=0.5).lr == 0.5 and used.lr == 0.1
    with pytest.raises(SettingError, match="each part has a learning rate of its own"):
        optim.groups({"*": optim.SGD(0.1)}).fresh(lr=0.5)


def test_a_fresh_copy_for_a_run_can_be_traced():
    assert optim.traceable(optim.SGD(lambda step: 0.1 if step < 9 else 0.01).fresh_for(30, 5).lr)
    assert optim.SGD([0.1, 0.2]).fresh_for(30, 5).lr == 0.1
