"""A gradient that would be nothing but zeros, because there is no derivative on any way, is an error that says so."""

import copy
import cProfile
import gc
import tracemalloc
import zlib

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ChainruleError, GradientError
from chainrule.ops import PRIMITIVES
from chainrule.ops.elementwise import unary
from chainrule.ops.instructions import same
from chainrule.ops.record import ZERO, Undefined, is_float

X = np.array([1.0, 3.0, 2.0])
INDEX = lambda x: cr.argmax(x).astype(cr.float64)
STEP = lambda x: (x > 1.5).astype(cr.float64).mean()


def first_case(primitive):
    rng = np.random.default_rng(zlib.crc32(primitive.name.encode()))
    return next(iter(primitive.domain(rng)), None)


def cases():
    """Every record with an operand: how it reads floats, and what its derivative says."""
    for primitive in PRIMITIVES.values():
        case = first_case(primitive)
        if case is not None and case.inputs:
            yield pytest.param(primitive, case, id=primitive.name)


def of_floats(primitive, case):
    """A scalar function of the record's float operands; truth values are made of floats by comparing them."""
    arrays = [np.asarray(x) for x in case.inputs]
    taken = [i for i, x in enumerate(arrays) if x.dtype.kind in "fb"]

    def f(*floats):
        operands = [cr.tensor(x) for x in arrays]
        for i, x in zip(taken, floats, strict=True):
            operands[i] = x > 0.5 if arrays[i].dtype.kind == "b" else x
        return primitive(*operands, **case.params).astype(cr.float64).sum()

    return f, [arrays[i].astype(np.float64) for i in taken], [arrays[i].dtype.kind for i in taken]


WAYS = {"eager": lambda f: f, "compiled": cr.compile}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("primitive", "case"), list(cases()))
def test_every_record_gives_a_gradient_or_says_that_it_has_none(primitive, case, way):
    f, floats, kinds = of_floats(primitive, case)
    if not floats:
        return  # random bits: there is nothing that could be differentiated
    wanted = tuple(range(len(floats)))
    gradient = WAYS[way](cr.grad(f, argnums=wanted))
    form = primitive(*(cr.tensor(np.asarray(x)) for x in case.inputs), **case.params)
    if isinstance(primitive.derivative, Undefined):
        assert not is_float(form.dtype)
        with pytest.raises(GradientError, match="has no derivative"):
            gradient(*floats)
    elif primitive.derivative is ZERO:
        assert not any(g.numpy().any() for g in gradient(*floats))
    elif "f" in kinds:
        assert [g.shape for g in gradient(*floats)] == [x.shape for x in floats]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("f", [INDEX, STEP, lambda x: x.astype(cr.int64).astype(cr.float32).sum()])
@pytest.mark.parametrize(
    "of",
    [
        cr.grad,
        lambda f: lambda x: cr.value_and_grad(f)(x)[1],
        cr.jacobian,
        cr.hessian,
        lambda f: lambda x: cr.vjp(f, x)[1](cr.tensor(1.0))[0],
        lambda f: lambda x: cr.jvp(f, (x,), (cr.tensor(X),))[1],
        lambda f: lambda x: cr.hvp(f, x, cr.tensor(X)),
    ],
    ids=["grad", "value_and_grad", "jacobian", "hessian", "vjp", "jvp", "hvp"],
)
def test_no_transform_returns_silent_zeros(f, of, way):
    with pytest.raises(GradientError, match="has no derivative") as caught:
        WAYS[way](of(f))(cr.tensor(X))
    assert caught.value.hint
    assert "test_no_derivative.py" in caught.value.where


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (INDEX, "argmax"),
        (STEP, "greater"),
        (lambda x: cr.where(x > 1.5, 1.0, 0.0).sum(), "greater"),
        (lambda x: cr.one_hot(cr.argmax(x), 3).sum(), "argmax"),
        (lambda x: cr.tensor([1.0, 2.0, 4.0])[cr.argmax(x)], "argmax"),
        (lambda x: cr.tensor(cr.argmax(x), dtype=cr.float64), "argmax"),
        (lambda x: cr.stack([cr.argmax(x), cr.argmax(-x)]).sum().astype(cr.float64), "argmax"),
        (lambda x: ((x > 1) & (x < 2)).sum().astype(cr.float64), "greater"),
        (lambda x: cr.value_and_grad(lambda y: y * y)(INDEX(x))[0], "argmax"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_the_operation_is_named(f, name, way):
    with pytest.raises(GradientError, match=f"through {name}, which"):
        WAYS[way](cr.grad(f))(cr.tensor(X))


@pytest.mark.parametrize(
    ("f", "gradient"),
    [
        (lambda x: cr.tensor(3.0), 0),  # no dependence
        (lambda x: x.detach().sum() * 1.0, 0),  # meant
        (lambda x: INDEX(x.detach()), 0),
        (lambda x: INDEX(x).detach(), 0),
        (lambda x: cr.argmax(x).detach().astype(cr.float64), 0),
        (lambda x: cr.sign(x).sum() + INDEX(x), 0),  # 0 by a derivative that is 0
        (lambda x: INDEX(x) + x.sum(), 1),  # another way
        (lambda x: x[cr.argmax(x)] * 0 + cr.relu(x).sum(), 1),
        (lambda x: (x * (x > 0)).sum(), 1),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_zeros_that_are_right_stay(f, gradient, way):
    found = WAYS[way](cr.grad(f))(cr.tensor(X))
    assert np.array_equal(found.numpy(), np.full(3, gradient))


def test_under_no_grad_nothing_is_asked():
    def f(x):
        with cr.no_grad():
            index = cr.argmax(x)
        return index.astype(cr.float64)

    for way in WAYS.values():
        assert not way(cr.grad(f))(cr.tensor(X)).numpy().any()


@pytest.mark.parametrize("f", [cr.relu, lambda x: x, lambda x: x * (x > 0), cr.max, cr.abs, cr.norm])
def test_second_derivatives_of_what_is_linear_by_pieces_are_zeros(f):
    """Their first derivative depends on x by comparisons alone, and 0 is right."""
    hessian = cr.hessian(lambda x: f(x).sum())(cr.tensor(X))
    if f is not cr.norm:
        assert not hessian.numpy().any()


def test_one_argument_may_have_no_derivative():
    where = lambda x, limit: cr.where(x > limit, x, 0.0).sum()
    by_x, by_limit = cr.grad(where, argnums=(0, 1))(cr.tensor(X), 1.5)
    assert by_x.tolist() == [0, 1, 1]
    assert by_limit.item() == 0
    with pytest.raises(GradientError, match="greater"):
        cr.grad(where, argnums=1)(cr.tensor(X), 1.5)


def test_what_requires_a_gradient_outside_is_not_meant():
    w = cr.tensor(X, requires_grad=True)
    assert cr.grad(lambda x: INDEX(w) + 0.0)(2.0).item() == 0
    with pytest.raises(GradientError, match="through greater"):
        cr.grad(lambda x: (w > 0).sum() * (x > 0).astype(cr.float64))(2.0)


@pytest.mark.parametrize("f", [INDEX, STEP])
def test_backward_names_the_operation(f):
    def step():
        w = cr.tensor(X, requires_grad=True)
        f(w).backward()

    for way in (step, cr.compile(step)):
        with pytest.raises(GradientError, match="has no derivative") as caught:
            way()
        assert "lambda x: " in caught.value.where  # the line of the operation, not that of backward()


def test_backward_beside_another_way():
    w = cr.tensor(X, requires_grad=True)
    (INDEX(w) * w.sum()).backward()
    assert w.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize(
    "loss", [nn.zero_one, lambda p, t: (cr.argmax(p, axis=1) != t).astype(cr.float32).mean()]
)
def test_fit_refuses_a_loss_without_a_derivative(loss, executor):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(int)
    with pytest.raises(ChainruleError, match="argmax, which has no derivative"):
        cr.fit(nn.Linear(3, 2), (x, labels), loss=loss, optimizer=optim.SGD(0.1), epochs=1, executor=executor)


def test_a_float_result_without_a_derivative_is_refused_on_any_way():
    strange = unary("strange", np.floor, Undefined("ask nobody"), lower=same, written=lambda node, x: x)
    f = lambda x: strange(x).sum() + x.sum()
    for wanted in (cr.grad(f), lambda x: cr.vjp(f, x)[1](cr.tensor(1.0))):
        with pytest.raises(GradientError, match="strange, which has no derivative") as caught:
            wanted(cr.tensor(X))
        assert caught.value.hint == "ask nobody"
    w = cr.tensor(X, requires_grad=True)
    with pytest.raises(GradientError, match="strange"):
        f(w).backward()


def test_endings_keep_no_graph_alive():
    """Outside of transforms a tensor that counts hits holds nothing of the steps that it counted."""
    w = cr.tensor(X, requires_grad=True)
    hits = cr.tensor(0)
    for _ in range(5):
        hits = hits + (w > 1.5).sum()
    assert hits._ending is not None
    assert hits._ending.group() is None
    assert not hits.node.inputs


class Steps:
    """Functions under transforms that leave something behind, and how many bytes live once they are done."""

    def __init__(self):
        self.hits = self.mean = cr.tensor(0.0, dtype=cr.float64)
        self.values = []

    def counted(self, x):
        h = cr.tanh(x * 1.5)
        self.hits = self.hits + (h > 0).sum()
        return (h * h).mean()

    def leaky(self, x):
        return cr.where(x > 0, x, 0.1 * x).mean()

    def count(self, x):
        cr.grad(self.counted)(x)

    def keep_value(self, x):
        self.values.append(cr.value_and_grad(self.leaky)(x)[0])

    def keep_output(self, x):
        self.values.append(cr.vjp(self.leaky, x)[0])

    def keep_index(self, x):
        self.values.append(cr.jvp(lambda y: (cr.argmax(y), y.sum()), (x,), (x,))[0])

    def running_mean(self, x):
        self.mean = 0.9 * self.mean + 0.1 * cr.value_and_grad(self.leaky)(x)[0]

    def nested(self, x):
        cr.grad(lambda y: (y * cr.grad(self.counted)(y)).sum())(x)

    def pulled_back(self, x):
        _, pullback = cr.vjp(self.counted, x)
        pullback(1.0)

    def failing(self, x):
        with pytest.raises(GradientError):
            cr.grad(lambda y: self.counted(y) * 0 + 1 if self.hits is None else INDEX(y + self.hits))(x)


@pytest.mark.parametrize("name", [name for name in vars(Steps) if not name.startswith("_")][2:])
def test_what_outlives_a_transform_keeps_no_graph_alive(name):
    steps, x = Steps(), cr.tensor(np.random.default_rng(0).normal(size=10_000))
    step = getattr(steps, name)
    step(x)
    tracemalloc.start()
    for _ in range(10):
        step(x)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < x.size * 8  # not even one array of a graph


def test_the_time_is_linear_in_the_number_of_endings():
    """As calls count it: twice the endings take twice the calls, and not four times."""

    def calls(n):
        def f(x):
            w = cr.tensor(X, requires_grad=True)
            for _ in range(n):
                w = w * (w > 0)
            return (w > x.detach()).sum() + 0.0

        profile = cProfile.Profile()
        assert not profile.runcall(cr.grad(f), cr.tensor(X)).numpy().any()
        return sum(entry.callcount for entry in profile.getstats())

    calls(1)
    assert calls(200) < 2.2 * calls(100)


def test_an_operation_copies_no_list_of_endings():
    def f(x):
        for _ in range(20):
            x = x * (x > 0)
        assert len(x._ending.group().parts) == 2
        return x.sum()

    assert cr.grad(f)(cr.tensor(X)).tolist() == [1, 1, 1]


def test_the_first_of_many_endings_is_named():
    def f(x):
        lines = cr.argmax(x.detach()) + cr.argmax(-x.detach())
        for _ in range(3):
            lines = lines + (x > 1).sum() + cr.argmax(x)
        return lines.astype(cr.float64)

    with pytest.raises(GradientError, match=r"through greater(.|\n)*got: +bool\[3\] from greater"):
        cr.grad(f)(cr.tensor(X))


def test_an_outer_transform_knows_of_endings_in_inner_ones():
    inner = lambda y: cr.where(y > 1.5, 1.0, 0.0).sum() + y.sum() * 0
    pulled = lambda x: cr.vjp(lambda y: (cr.argmax(y), y.sum()), x)[0][0] * 1.0
    for f, name in (
        (lambda x: cr.value_and_grad(inner)(x.detach() + (x > 0))[0], "greater"),
        (pulled, "argmax"),
    ):
        with pytest.raises(GradientError, match=f"through {name}, which"):
            cr.grad(f)(cr.tensor(X))


@pytest.mark.parametrize(
    "value",
    [
        lambda f: cr.value_and_grad(f)(cr.tensor(X))[0],
        lambda f: cr.vjp(f, cr.tensor(X))[0],
        lambda f: cr.jvp(f, (cr.tensor(X),), (cr.tensor(X),))[0],
    ],
)
def test_a_value_that_had_a_derivative_depends_on_nothing_outside(value):
    with pytest.raises(GradientError, match="depends on nothing that requires a gradient"):
        value(lambda x: cr.where(x > 0, x, 0.0).sum()).backward()


@pytest.mark.peers
def test_pytorch_refuses_the_same():
    import torch

    w = torch.tensor(X, requires_grad=True)
    for loss in (w.argmax().double(), (w > 1.5).double().mean(), torch.where(w > 1.5, 1.0, 0.0).sum()):
        with pytest.raises(RuntimeError, match="does not require grad"):
            loss.backward()
    ((w > 1.5).double() * w).sum().backward()
    assert w.grad.tolist() == [0, 1, 1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "put",
    [
        lambda s, x: s.assign(x.sum()),
        lambda s, x: setattr(s, "data", x.sum()),
        lambda s, x: cr.grad(lambda y: (s.assign(x.sum() + 0 * y), y * 1.0)[1])(
            cr.tensor(1.0, dtype=cr.float64)
        ),
    ],
    ids=["assign", "data", "inner"],
)
def test_a_value_that_is_differentiated_is_not_assigned(put, way):
    s = cr.tensor(0.0, dtype=cr.float64)
    with pytest.raises(GradientError, match="assign: the new value is being differentiated"):
        WAYS[way](cr.grad(lambda x: (put(s, x), s * 1.0)[1]))(cr.tensor(X))
    assert s.item() == 0


@pytest.mark.parametrize("way", WAYS)
def test_what_may_be_assigned_inside(way):
    def with_constant(x):
        s.assign(x.detach().sum())
        with cr.no_grad():
            t.assign(x.sum())
        return s * x.sum() + t

    s, t = cr.tensor(0.0, dtype=cr.float64), cr.tensor(0.0, dtype=cr.float64)
    assert WAYS[way](cr.grad(with_constant))(cr.tensor(X)).tolist() == [6, 6, 6]
    assert (s.item(), t.item()) == (6, 6)
    layer = nn.BatchNorm1d(1, dtype=np.float64)
    column = cr.tensor(X.reshape(3, 1))
    WAYS[way](cr.grad(lambda x: (layer(x) ** 3).sum()))(column)
    assert layer.running_mean.tolist() == [pytest.approx(0.2)]


@pytest.mark.parametrize("way", WAYS)
def test_an_assigned_count_has_no_derivative(way):
    s = cr.tensor(0)
    with pytest.raises(GradientError, match="through greater"):
        WAYS[way](cr.grad(lambda x: (s.assign((x > 1.5).sum()), s * 1.0)[1]))(cr.tensor(X))
    s.assign(3)
    assert WAYS[way](cr.grad(lambda x: s * x.sum()))(cr.tensor(X)).tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (lambda x: cr.tensor(np.where(x > 1.5, 1.0, 0.0)).sum(), "greater"),
        (lambda x: copy.deepcopy(cr.argmax(x)) * 1.0, "argmax"),
        (lambda x: copy.copy(cr.argmax(x)) * 1.0, "argmax"),
        (lambda x: np.multiply(x > 1.5, 2.0).sum(), "greater"),
        (lambda x: np.sum(x > 1.5) * 1.0, "greater"),
        (lambda x: cr.stack(np.stack([x > 1.5, x > 2.5])).sum() * 1.0, "greater"),
        (lambda x: cr.tensor(np.concatenate([x > 1.5, x > 2.5])).sum() * 1.0, "greater"),
    ],
)
def test_numpy_functions_do_not_hide_an_ending(f, name):
    with pytest.raises(GradientError, match=f"through {name}, which"):
        cr.grad(f)(cr.tensor(X))


def test_a_derivative_of_0_leaves_zeros():
    def step():
        w, a = (cr.tensor(X, requires_grad=True) for _ in range(2))
        (cr.sign(w).sum() + cr.where(a > 1, w, w).sum() * 0 + cr.floor(w.detach()).sum()).backward()
        (cr.sign(w) * (a > 2)).sum().backward()
        assert a.grad is None
        return w.grad

    assert step().tolist() == [0, 0, 0]
    assert cr.compile(step)().tolist() == [0, 0, 0]
    w = cr.tensor(X, requires_grad=True)
    cr.sign(w).sum().backward()
    assert w.grad.tolist() == [0, 0, 0]
