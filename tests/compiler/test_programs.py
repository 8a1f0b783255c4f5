"""Compiled graphs against the interpreter, which is the oracle."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thorough import generated

import chainrule as cr
from chainrule import nn, optim
from chainrule.backward import backward
from chainrule.compiler.host import host
from chainrule.compiler.lowering import ELEMENTWISE
from chainrule.compiler.program import Binary, Instance, run_parts
from chainrule.errors import ChainruleError, IndexOutOfRangeError, SettingError
from chainrule.graph import Node, as_node, emit, new_leaf
from chainrule.interpret import evaluate
from chainrule.ops import PRIMITIVES, contract, indexing, movement, random, reduce
from chainrule.ops import elementwise as e
from chainrule.ops.record import Form
from chainrule.tensor import Tensor, as_tensor
from chainrule.trace import tracing
from chainrule.training.executors import InterpretedStep
from chainrule.training.step import Objective, training_step

TOLERANCE = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}
TARGETS = [None, "avx2", "sse2"]


def agree(got, expected, scale=1.0, dtype=None):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    tolerance = TOLERANCE.get(np.dtype(dtype or expected.dtype), 0.0) * scale
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def run(leaves, outputs, arrays, updates=(), target=None):
    return Instance(Binary(leaves, outputs, updates, target=host(target)))(*arrays)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", sorted(PRIMITIVES.keys() - {"leaf"}))
def test_every_record_compiles(name, target):
    record = PRIMITIVES[name]
    for dtype in (np.float64, np.float32):
        for case in record.domain(np.random.default_rng(0)):
            arrays = [
                np.asarray(a.astype(dtype) if np.asarray(a).dtype.kind == "f" else a) for a in case.inputs
            ]
            leaves = [new_leaf(a.shape, a.dtype) for a in arrays]
            node = emit(record, leaves, case.params)
            (expected,) = evaluate([node], dict(zip(leaves, arrays, strict=True)))
            agree(run(leaves, [node], arrays, target=target)[0], expected)


@st.composite
def graphs(draw):
    """A random graph over matrices of a few shapes: elementwise, broadcasts, reductions, products, movement."""
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    rows, columns = draw(st.integers(1, 19)), draw(st.integers(1, 19))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    shapes = [(rows, columns), (rows, columns), (columns,), (rows, 1), ()]
    arrays = [np.asarray(rng.uniform(-1, 1, size=shape), dtype) for shape in shapes]
    leaves = [new_leaf(a.shape, a.dtype, f"x{i}") for i, a in enumerate(arrays)]
    nodes = list(leaves)
    for _ in range(draw(st.integers(2, 14))):
        x, y = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        nodes.append(draw(st.sampled_from(STEPS))(x, y))
    outputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3))
    return leaves, outputs, arrays


def _pair(op):
    return lambda x, y: op(x, y) if _broadcastable(x, y) else op(x, x)


def _broadcastable(x, y):
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


def _reduce(op, which):
    def step(x, y):
        axis = tuple(range(len(x.shape)))[which]
        return op(x, axis=axis, keepdims=len(y.shape) % 2 == 0)

    return step


def _product(x, y):
    if len(x.shape) == 2 and len(y.shape) == 2 and x.shape[-1] == y.shape[0]:
        return contract.matmul(x, y) * 0.2
    if len(x.shape) == 2:
        return contract.matmul(movement.transpose(x, axes=(1, 0)), x) * 0.1
    return e.tanh(x)


def _turn(x, y):
    return movement.transpose(x, axes=tuple(range(len(x.shape)))[::-1])


def _flip(x, y):
    return movement.slice(
        x,
        start=tuple(n - 1 for n in x.shape),
        count=x.shape,
        step=(-1,) * len(x.shape),
    )


def _flat(x, y):
    return movement.reshape(x, shape=(int(np.prod(x.shape)),))


def _joined(x, y):
    return movement.concat(x, x * 0.5, axis=0) if x.shape else movement.stack(x, x, axis=0)


STEPS = [
    _pair(e.add),
    _pair(e.subtract),
    _pair(e.multiply),
    _pair(e.maximum),
    _pair(lambda x, y: e.where(e.greater(x, y), x, y * 0.5)),
    lambda x, y: e.tanh(x),
    lambda x, y: e.relu(x),
    lambda x, y: e.exp(e.minimum(x, 1.0)) * 0.3,
    lambda x, y: e.logistic(x),
    lambda x, y: e.sqrt(e.abs(x) + 0.1),
    _reduce(reduce.sum, slice(None)),
    _reduce(reduce.sum, slice(0, 1)),
    _reduce(reduce.sum, slice(-1, None)),
    _reduce(reduce.max, slice(-1, None)),
    _reduce(reduce.logsumexp, slice(0, 1)),
    _product,
    _turn,
    _flip,
    _flat,
    _joined,
]


@generated(60, 200, graphs())
def test_random_graphs_agree_with_the_interpreter(graph):
    leaves, outputs, arrays = graph
    expected = evaluate(outputs, dict(zip(leaves, arrays, strict=True)))
    scale = max(1.0, *(float(np.abs(x).max(initial=0)) for x in expected))
    for got, wanted in zip(run(leaves, outputs, arrays), expected, strict=True):
        agree(got, wanted, 10 * scale)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_gradients_of_random_graphs_agree_with_the_interpreter(graph):
    leaves, outputs, arrays = graph
    total = reduce.sum(outputs[0], axis=tuple(range(len(outputs[0].shape))), keepdims=False)
    found = [g for g in backward([total], [as_node(1.0, total.dtype)], leaves) if g is not None]
    expected = evaluate(found, dict(zip(leaves, arrays, strict=True)))
    scale = max(1.0, *(float(np.abs(x).max(initial=0)) for x in expected), 0.0)
    for got, wanted in zip(run(leaves, found, arrays), expected, strict=True):
        agree(got, wanted, 20 * scale)


def test_updates_read_the_old_values():
    a, b = (new_leaf((5,), np.float64, value=np.arange(5.0) + i) for i in range(2))
    x = new_leaf((5,), np.float64)
    swap = [(a, b), (b, a)]
    program = Instance(Binary([x], [a + x], swap))
    (total,) = program(np.ones(5))
    np.testing.assert_array_equal(total, np.arange(5.0) + 1)
    np.testing.assert_array_equal(a.value, np.arange(5.0) + 1)
    np.testing.assert_array_equal(b.value, np.arange(5.0))


def test_an_update_waits_for_every_reader_of_the_old_value():
    w = new_leaf((3, 3), np.float64, value=np.arange(9.0).reshape(3, 3).copy())
    x = new_leaf((3, 3), np.float64)
    new = w - 0.5 * contract.matmul(x, x)
    late = contract.matmul(contract.matmul(x, x) + 1, w)
    before = w.value.copy()
    square = np.full((3, 3), 3.0)
    (got,) = Instance(Binary([x], [late], [(w, new)]))(np.ones((3, 3)))
    np.testing.assert_allclose(got, (square + 1) @ before)
    np.testing.assert_allclose(w.value, before - 0.5 * square)


def test_a_leaf_in_fortran_order_keeps_it():
    w = new_leaf(
        (4, 7), np.float32, value=np.asfortranarray(np.random.default_rng(0).normal(size=(4, 7)).astype("f"))
    )
    before = w.value.copy()
    Instance(Binary([], [], [(w, w * 2.0)]))()
    assert w.value.flags.f_contiguous
    np.testing.assert_array_equal(w.value, before * 2)


def test_an_index_outside_is_an_error_and_reads_nothing():
    x, i = new_leaf((4, 3), np.float32), new_leaf((2,), np.int64)
    program = Instance(Binary([x, i], [indexing.gather(x, i, axis=0)]))
    data = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(program(data, np.array([-1, 0]))[0], data[[-1, 0]])
    with pytest.raises(IndexOutOfRangeError):
        program(data, np.array([0, 4]))
    np.testing.assert_array_equal(program(data, np.array([1, 2]))[0], data[[1, 2]])


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)])
def test_empty_arrays(shape):
    x = new_leaf(shape, np.float64)
    outputs = [
        reduce.sum(x, axis=tuple(range(len(shape))), keepdims=False),
        reduce.sum(x, axis=(0,), keepdims=False),
        e.exp(x) + 1,
    ]
    array = np.zeros(shape)
    for got, wanted in zip(run([x], outputs, [array]), evaluate(outputs, {x: array}), strict=True):
        agree(got, wanted)


OPTIMIZERS = [
    optim.SGD(0.05),
    optim.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    optim.RMSprop(1e-3),
    optim.Adagrad(1e-2),
    optim.Adam(1e-3),
    optim.AdamW(1e-3),
    optim.NAdam(1e-3),
    optim.Adam(optim.CosineDecay(1e-2, 20)),
]
MODELS = [
    {},
    {"activation": "tanh", "dropout": 0.3},
    {"activation": "gelu", "batch_norm": True},
    {"activation": "elu", "dropout": 0.1, "batch_norm": True},
    {"activation": "silu"},
    {"activation": "softplus"},
    {"activation": "leaky_relu"},
    {"activation": "logistic"},
]


def steps(dtype, optimizer, options, clip=None, loss=nn.cross_entropy, count=2):
    """The same training step twice, from the same state, with arrays of its own."""
    import copy

    made = []
    for _ in range(count):
        model = nn.MLP([6, 9, 7, 3], seed=1, dtype=dtype, **options).initialise(3)
        own = copy.deepcopy(optimizer) if not callable(optimizer.lr) else copy.copy(optimizer)
        own.attach(model)
        forms = (Form((11, 6), np.dtype(dtype)), Form((11,), np.dtype(np.int64)))
        penalty = nn.l2(1e-3)
        made.append(
            (model, training_step(Objective(model=model, loss=loss, penalty=penalty), own, clip, forms))
        )
    return made


def check_training(dtype, optimizer, options, clip=None):
    (model, step), (other, same) = steps(dtype, optimizer, options, clip)
    program = Instance(
        Binary(step.inputs, step.outputs, [(before, after) for _, before, after in step.updates])
    )
    oracle = InterpretedStep(same)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, y = rng.normal(size=(11, 6)).astype(dtype), rng.integers(0, 3, 11)
        for got, wanted in zip(program(x, y), oracle(x, y), strict=True):
            agree(got, np.asarray(wanted), 20, dtype)
    for (name, a), (_, b) in zip(model.named_state(), other.named_state(), strict=True):
        tolerance = TOLERANCE.get(a.dtype, 0.0) * 50
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_steps_of_every_optimizer(optimizer):
    check_training(np.float64, optimizer, {})


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", MODELS, ids=str)
def test_training_steps_of_every_layer(options, dtype):
    check_training(dtype, optim.SGD(0.05, momentum=0.9), options, clip=1.0)


def test_the_loop_over_minibatches_is_the_steps_one_by_one():
    (model, step), (other, same) = steps(np.float32, optim.Adam(1e-2), {"dropout": 0.2})
    updates = [(before, after) for _, before, after in step.updates]
    program = Instance(Binary(step.inputs, step.outputs, updates, rows=11))
    updates = [(before, after) for _, before, after in same.updates]
    single = Instance(Binary(same.inputs, same.outputs, updates))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)).astype(np.float32), rng.integers(0, 3, 50)
    order = np.stack([rng.permutation(50)[:11] for _ in range(8)])
    part = program.part([x, y], order, len(order), 1)
    run_parts([part])
    for row, record in zip(order, part.records, strict=True):
        np.testing.assert_array_equal(record, [float(v) for v in single(x[row], y[row])])
    for (name, a), (_, b) in zip(model.named_state(), other.named_state(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)


def test_scalars_are_nodes_too():
    x = new_leaf((), np.float64)
    node: Node = x * 2 + 1
    agree(run([x], [node, x], [np.array(3.0)])[0], np.array(7.0))


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_leaf_that_its_own_update_reads_whole(order):
    start = np.random.default_rng(0).normal(size=(5, 5))
    w = new_leaf((5, 5), np.float64, value=np.array(start, order=order))
    v = new_leaf((5, 5), np.float64, value=np.array(start * 2, order=order))
    x = new_leaf((5, 5), np.float64)
    transposed = movement.transpose(contract.matmul(w, x), axes=(1, 0))
    flat = reduce.sum(movement.reshape(transposed, shape=(25,)) * np.arange(25.0), axis=(0,), keepdims=False)
    factor = np.full((5, 5), 0.5)
    (got,) = Instance(Binary([x], [flat], [(w, transposed), (v, w)]))(factor)
    np.testing.assert_allclose(w.value, (start @ factor).T)
    np.testing.assert_allclose(v.value, start)
    np.testing.assert_allclose(got, (start @ factor).T.ravel() @ np.arange(25.0))
    assert w.value.flags[f"{order}_CONTIGUOUS"]


def batch_of_products(s, k):
    return s + s @ k


TWO_ROLES = {  # (function of a square matrix h, a square matrix k and a vector v as long as either)
    "operand of a product and term of the sum that follows": lambda h, k, v: h + h @ k,
    "both operands, and after": lambda h, k, v: h @ h + h * h,
    "right operand and after": lambda h, k, v: (h @ k) * k,
    "transposed operand and after": lambda h, k, v: h @ (h.T @ h) + h,
    "operand, activated": lambda h, k, v: h + cr.relu(h @ k),
    "batch of products": lambda h, k, v: batch_of_products(cr.stack([h, k, h * k]), k),
    "a column operand": lambda h, k, v: h[:, :1] @ k[:1] + h[:, :1],
    "inside a reduction and after": lambda h, k, v: (h * v).sum(axis=1) + v,
    "inside a maximum and after": lambda h, k, v: cr.max(h * h[0], axis=1) - h[0],
    "inside a reduction that keeps its axis, and after": lambda h, k, v: (
        (h * v).sum(axis=1, keepdims=True) * v
    ),
    "the reduced array itself and after": lambda h, k, v: h.sum(axis=1) + h[:, 0],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TWO_ROLES)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_kernel_that_reads_a_node_in_two_ways(name, size, dtype):
    rng = np.random.default_rng(size)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((size, size), (size, size), (size,))]
    f = TWO_ROLES[name]
    # computed, so that nothing is a mere leaf
    computed = lambda h, k, v: f(cr.sin(h) @ h, cr.cos(k), cr.tanh(v))
    for g in (f, computed):
        expected = g(*map(cr.tensor, arrays)).numpy()
        agree(cr.compile(g)(*arrays).numpy(), expected, scale=max(1.0, np.abs(expected).max()))


def test_rows_picked_by_the_array_itself():
    order = np.array([3, 1, 2, 0, 4])
    assert cr.compile(lambda i: cr.take(i, i, 0))(order).tolist() == order[order].tolist()


LAYOUTS = {  # a view [4, 3] of a larger or differently ordered array
    "in order": lambda a: a[:4, :3].copy(),
    "transposed": lambda a: a[:3, :4].copy().T,
    "every second column": lambda a: a[:4, :6:2],
    "every second row": lambda a: a[:8:2, :3],
    "reversed": lambda a: a[3::-1, 2::-1],
}
NEW_VALUES = {  # what is assigned, and what else reads the old value
    "pointwise": lambda t, x: t * 2 + x,
    "old value is read elsewhere": lambda t, x: t @ (x.T @ t) + x,
    "a view of another value": lambda t, x: (t + x)[::-1],
    "all of it at every point": lambda t, x: cr.sum((x @ x.T)[:, :, None] * t, axis=1),
    "a row for all": lambda t, x: cr.broadcast_to((t + x)[0], (4, 3)),
    "the argument": lambda t, x: x,
}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("value", NEW_VALUES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_updates_of_tensors_that_lie_in_any_order(layout, value, shared):
    """Every element of the view is written, and nothing beside it."""
    x = np.arange(12.0).reshape(4, 3) / 7
    around = np.random.default_rng(0).normal(size=(8, 8))
    compiled = around.copy()
    tensor, twin = (as_tensor(LAYOUTS[layout](memory)) for memory in (around, compiled))
    new, read = NEW_VALUES[value](tensor, cr.tensor(x)), (tensor * tensor).sum()
    tensor.assign(new)

    with tracing() as trace:
        argument = Tensor(None, new_leaf(x.shape, x.dtype))
        after = NEW_VALUES[value](twin, argument)
        outputs = [(twin * twin).sum().node, after[1:].node]
        twin.assign(after)
    updates = [(before, node) for _, before, node in trace.updates]
    found = Instance(Binary([argument.node], outputs, updates, shared=shared))(x)
    agree(found[0], read.numpy())
    agree(found[1], new.numpy()[1:])
    agree(twin.numpy(), tensor.numpy())
    agree(compiled, around)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("one", LAYOUTS)
@pytest.mark.parametrize("other", LAYOUTS)
def test_tensors_that_exchange_their_values(one, other, shared):
    """Neither can be written before the other is read: what waits is copied at the end."""
    memory = np.random.default_rng(0).normal(size=(2, 8, 8))
    wanted = memory.copy()
    a, b = as_tensor(LAYOUTS[one](memory[0])), as_tensor(LAYOUTS[other](memory[1]))
    left, right = (as_tensor(LAYOUTS[name](part)) for name, part in zip((one, other), wanted, strict=True))
    new = cr.tensor(right.numpy() + left.numpy() @ np.ones((3, 3))), cr.tensor(left.numpy() * 2)
    left.assign(new[0])
    right.assign(new[1])

    with tracing() as trace:
        first, second = b + a @ np.ones((3, 3)), a * 2
        total = second.sum()
        a.assign(first)
        b.assign(second)
    updates = [(before, node) for _, before, node in trace.updates]
    Instance(Binary([], [total.node], updates, shared=shared))()
    agree(a.numpy(), left.numpy())
    agree(b.numpy(), right.numpy())
    agree(memory, wanted)


def test_whatever_is_computed_on_the_way_can_be_an_output():
    """A value that is kept lies where nobody writes later: not in an array that others are done with."""
    x = new_leaf((8, 8), np.float64)
    parts = e.sin(x), contract.matmul(x, x)
    joined = movement.concat(*parts, axis=0)
    chain = [*parts, joined, contract.matmul(movement.transpose(joined, axes=(1, 0)), joined) * 0.1]
    for _ in range(3):  # each takes the place of what is not read any more
        chain.append(e.tanh(contract.matmul(chain[-1], chain[-1])))
        wide = movement.concat(chain[-1], e.cos(chain[-1]), axis=0)
        chain.append(contract.matmul(movement.transpose(wide, axes=(1, 0)), wide) * 0.1)
    array = np.random.default_rng(0).normal(size=(8, 8))
    for kept in itertools.chain(
        [()], itertools.combinations(range(len(chain) - 1), 1), [(0, 2), (0, 1), (1, 4, 6)]
    ):
        outputs = [*(chain[i] for i in kept), chain[-1]]
        for got, wanted in zip(run([x], outputs, [array]), evaluate(outputs, {x: array}), strict=True):
            agree(got, wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("repeats", [1, 13])
def test_random_bits_do_not_depend_on_how_loops_run(repeats, layout):
    """The axis along which vectors run, how they begin and end: element i has the bits of element i."""
    wide = np.random.default_rng(0).normal(size=(8 * repeats, 6 * repeats))
    values = LAYOUTS[layout](wide) if repeats == 1 else np.array(wide, order="FC"[layout == "in order"])
    x = new_leaf(values.shape, values.dtype, value=values)
    seed, count = (new_leaf(shape, np.uint32) for shape in ((2,), ()))
    arrays = [np.array([3, 4], np.uint32), np.asarray(5, np.uint32)]
    outputs = []
    for read in (x, movement.transpose(x, axes=(1, 0)), e.sin(x)):
        bits = random.random_bits(seed, count, shape=read.shape)
        kept = movement.cast(e.less(bits, np.uint32(1 << 31)), dtype=read.dtype)
        outputs += [kept * read, reduce.sum(kept * read, axis=(0,), keepdims=False)]
    given = {seed: arrays[0], count: arrays[1], x: values}
    for got, wanted in zip(run([seed, count], outputs, arrays), evaluate(outputs, given), strict=True):
        agree(got, wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", sorted(name for name, p in PRIMITIVES.items() if p in ELEMENTWISE))
def test_lanes_that_do_not_count_leave_no_trace(name, target):
    """Sums over axes that no vector fills evenly, of what may be NaN at anything that stands in for an element."""
    record = PRIMITIVES[name]
    for case in record.domain(np.random.default_rng(0)):
        arrays = [np.resize(np.asarray(a), 33) if np.asarray(a).size else np.ones(33) for a in case.inputs]
        arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
        leaves = [new_leaf(a.shape, a.dtype) for a in arrays]
        try:
            node = emit(record, leaves, case.params)
        except ChainruleError:  # parameters that fit the record's own shapes only
            continue
        total = emit(reduce.sum, [node], {"axis": (0,), "keepdims": False})
        (expected,) = evaluate([total], dict(zip(leaves, arrays, strict=True)))
        agree(
            run(leaves, [total], arrays, target=target)[0], expected, scale=max(1.0, float(np.abs(expected)))
        )


def test_a_dump_of_a_pass_that_there_is_not_is_an_error(monkeypatch, capsys):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    monkeypatch.setenv("CHAINRULE_DUMP", "fuze")
    with pytest.raises(SettingError, match="names no pass"):
        cr.compile(lambda x: x * 3)(np.ones(3))
    monkeypatch.setenv("CHAINRULE_DUMP", "simplify, fuse")
    cr.compile(lambda x: x * 5)(np.ones(3))
    printed = capsys.readouterr().err
    assert "== simplify" in printed
    assert "== fuse" in printed
