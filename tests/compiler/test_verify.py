"""Each rule of the compiler catches what breaks it: faults planted in a pass, and in what a pass leaves."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler import arrange, fuse, kernels, partition, pipeline, program, settle, verify
from chainrule.compiler.host import assemble, host
from chainrule.compiler.kernels import OuterLoop
from chainrule.compiler.verify import VerificationError, verify_graph, verify_layout, verify_plan
from chainrule.graph import new_leaf
from chainrule.ops import elementwise as e
from chainrule.ops import movement, reduce


def _fitted(model, columns=6, **settings):
    x = np.linspace(-1, 1, 24 * columns, dtype=np.float32).reshape(24, columns)
    y = np.stack([x[:, 0], -x[:, 1]], axis=1)
    cr.fit(
        model, (x, y), loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=1, progress=False, **settings
    )


def _mlp():
    _fitted(
        nn.Sequential(
            nn.Linear(6, 8, seed=0), nn.Tanh(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2, seed=1)
        )
    )


def _threads():
    _fitted(nn.MLP([6, 200, 160, 2], seed=0), batch_size=24, threads=2)


class Tied(nn.Module):
    def __init__(self):
        self.first, self.last = nn.Linear(6, 6, seed=0), nn.Linear(6, 2, seed=1)

    def forward(self, x):
        h = self.first(x)
        h = h + cr.relu(self.first(h)) @ self.first.weight.T
        return self.last(cr.concat([h, h[::-1], h * 2])[: len(x)])


def _tied():
    _fitted(Tied())


def _graph_network():
    edges = [(a, b) for a in range(6) for b in (6, 7, 8)] + [(a, b) for a in (6, 7, 8) for b in (9, 10)]
    _fitted(nn.GraphNetwork(edges, range(6), (9, 10), seed=0))


def _exchanged():
    """Two tensors take each other's values: one of them has to wait, as does one that is read transposed."""
    a, b = cr.tensor(np.arange(12.0).reshape(3, 4)), cr.tensor(np.ones((3, 4)))
    c, d = (cr.tensor(np.arange(9.0).reshape(3, 3) + i) for i in range(2))

    @cr.compile
    def step(x):
        a.data, b.data = b * 2 + x + b.sum(axis=0), a * 3 + a.sum()
        c.data, d.data = cr.exp(c.T) + c, cr.exp(d.T) - d
        return (a * b).sum(), c[0].sum()

    step(np.ones((3, 4)))


def _movement():
    """What a program reads through views, joins, and sums over."""

    @cr.compile
    def f(x):
        y = cr.tanh(x)
        z = cr.concat([cr.exp(y), cr.sin(y), y.T.reshape(x.shape)])
        wide, square = cr.broadcast_to(y[0], (5, 6)), cr.tanh(x @ x.T)
        return (
            z[::-2, 1:] @ y.T[1:],
            z.sum(axis=0) * y[0],
            y.reshape(-1)[::3] + y.sum(),
            wide,
            cr.exp(square.T) + square,
        )

    f(np.ones((4, 6)))


PROGRAMS = {f.__name__.strip("_"): f for f in (_mlp, _threads, _tied, _graph_network, _exchanged, _movement)}


@pytest.fixture(scope="module")
def lowered():
    """What ``lower`` was asked for while these programs ran: many graphs, of steps above all."""
    asked = []

    def record(outputs, updates, strides, target, stream=None, *, shared=False):
        asked.append((outputs, updates, strides, shared))
        return pipeline.lower(outputs, updates, strides, target, stream, shared=shared)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "lower", record)
        patch.setenv("CHAINRULE_CACHE", "off")
        for run in PROGRAMS.values():
            run()
    assert len(asked) >= len(PROGRAMS)
    assert any(shared for *_, shared in asked)
    return asked


def arranged(outputs, updates, strides, shared):
    """The passes up to the layout, as ``lower`` calls them, each one checked."""
    plan = pipeline.planned(outputs, updates, strides)
    targets = [target for target, _ in updates]
    replaced = list(zip(targets, plan.outputs[len(outputs) :], strict=True))
    layout = arrange.arrange(plan, replaced, strides, shared=shared)
    verify_layout(plan, layout, replaced, shared=shared)
    return plan, layout, replaced


def test_good_plans_pass(lowered):
    for asked in lowered:
        arranged(*asked)


# Faults in what fusion leaves

RULES = {
    "before it is read": "a value is computed, and stored, before it is read",
    "computed": "every node is computed",
    "results": "results are stored",
    "stored once": "a value is stored by one kernel",
    "once": "a kernel computes a node once",
    "computed once": "a node that is stored, or not elementwise, is computed once",
    "loop": "nodes of a loop have the loop's shape",
    "joins": "only elementwise nodes join a loop",
    "same point": "values of the same loop are read at the same point",
    "stores": "a kernel stores what it computes at each point",
    "terms": "only a reduction computes its terms itself",
    "root": "a kernel runs over the shape of its root",
}


def _without_a_kernel(plan):
    for i in range(len(plan.kernels)):
        yield [*plan.kernels[:i], *plan.kernels[i + 1 :]]


def _a_kernel_twice(plan):
    for i, kernel in enumerate(plan.kernels):
        yield [*plan.kernels[: i + 1], kernel, *plan.kernels[i + 1 :]]


def _a_kernel_too_early(plan):
    for i, kernel in enumerate(plan.kernels):
        roots = {kernels.root_of(x) for x in kernel.reads()}
        for j in range(i):
            if not roots.isdisjoint(plan.kernels[j].stored):
                yield [*plan.kernels[:j], kernel, *plan.kernels[j:i], *plan.kernels[i + 1 :]]


def _changed(plan, change):
    """The plan with one kernel changed, for each kernel for which there is a change."""
    for i, kernel in enumerate(plan.kernels):
        for new in change(kernel):
            yield [*plan.kernels[:i], new, *plan.kernels[i + 1 :]]


def _unsaid(kernel):
    for node in kernel.stored:
        yield replace(kernel, stored=[x for x in kernel.stored if x is not node])


def _reversed(kernel):
    if any(x in kernel.body for node in kernel.body for x in node.inputs):
        yield replace(kernel, body=kernel.body[::-1])


def _doubled(kernel):
    if kernel.body:
        yield replace(kernel, body=[*kernel.body, kernel.body[0]])


def _other_space(kernel):
    yield replace(kernel, space=(*kernel.space, 2))


def _stores_terms(kernel):
    if kernel.inside:
        yield replace(kernel, stored=[*kernel.stored, kernel.inside[0]])


def _terms_of_nothing(kernel):
    if kernel.inside:
        yield replace(kernel, root=None, inside=kernel.inside)


def _body_of_movement(kernel):
    if kernel.root is not None and kernel.root.op in (movement.concat, movement.pad):
        yield replace(kernel, root=None, body=[kernel.root])


def _computed_in_two_kernels(plan):
    for i, kernel in enumerate(plan.kernels):
        for node in kernel.stored:
            if node in kernel.body:
                again = kernels.Kernel(kernel.space, None, [], kernel.body, [])
                if kernel.root is None:
                    yield [*plan.kernels[: i + 1], again, *plan.kernels[i + 1 :]]


def _joined_through_a_view(plan):
    """A reader of another order in the kernel that computes what it reads."""
    for i, kernel in enumerate(plan.kernels):
        for later in plan.kernels[i + 1 :]:
            views = [
                x
                for x in later.reads()
                if x is not kernels.root_of(x) and kernels.root_of(x) in kernel.stored
            ]
            if views and later.root is None and later.space == kernel.space:
                both = replace(
                    kernel, body=[*kernel.body, *later.body], stored=[*kernel.stored, *later.stored]
                )
                yield [*plan.kernels[:i], both, *(k for k in plan.kernels[i + 1 :] if k is not later)]


PLANS = {
    "without a kernel": (_without_a_kernel, {"before it is read", "computed", "results"}),
    "a kernel twice": (_a_kernel_twice, {"stored once", "computed once"}),
    "a kernel too early": (_a_kernel_too_early, {"before it is read"}),
    "a value is not stored": (lambda p: _changed(p, _unsaid), {"before it is read", "results"}),
    "a body backwards": (lambda p: _changed(p, _reversed), {"before it is read", "loop"}),
    "a node twice in a body": (lambda p: _changed(p, _doubled), {"once"}),
    "another space": (lambda p: _changed(p, _other_space), {"root", "loop"}),
    "terms are stored": (lambda p: _changed(p, _stores_terms), {"stores"}),
    "terms without a sum": (lambda p: _changed(p, _terms_of_nothing), {"loop", "terms"}),
    "movement in a body": (lambda p: _changed(p, _body_of_movement), {"joins"}),
    "computed in two kernels": (_computed_in_two_kernels, {"computed once"}),
    "joined through a view": (_joined_through_a_view, {"same point", "before it is read"}),
}


@pytest.mark.parametrize("name", PLANS)
def test_broken_plans_are_found(lowered, name):
    broken, rules = PLANS[name]
    expected, found = {RULES[rule] for rule in rules}, set()
    for outputs, updates, strides, _ in lowered:
        plan = pipeline.planned(outputs, updates, strides)
        for others in broken(plan):
            with pytest.raises(VerificationError) as error:
                verify_plan(replace(plan, kernels=list(others)))
            found.add(error.value.expected)
    assert found, "no graph can be broken in this way"
    assert found <= expected


# Faults in passes: a function of the compiler is replaced by one that is wrong

HELD = "memory holds a value until its last reader"
OVERWRITTEN = "nothing is overwritten that is still read"
AT_ONCE = "no two values are written to the same memory at once"
UPDATED = "an updated leaf holds its new value at the end"
FOUND = "a view finds its elements in the memory of its root"
READ = RULES["before it is read"]


def _forgets_early(original):
    return lambda self, *, before: original(self, before=before + 1)


def _last_reads_too_small(original):
    def wrong(kernels, phases, kept):
        return {node: last - 1 for node, last in original(kernels, phases, kept).items()}

    return wrong


def _results_are_not_kept(original):
    return lambda kernels, phases, kept: original(kernels, phases, [])


def _always(value):
    return lambda original: lambda *arguments, **named: value


def _no_copies(original):
    def wrong(plan, updates):
        in_place, copies = original(plan, updates)
        return in_place, copies[:-1]

    return wrong


def _old_values_are_not_waited_for(original):
    """Kernels in the order of the plan; replacements come when they come."""

    def wrong(kernels, in_place, shared):
        order, phases, _ = original(kernels, {}, shared)
        return order, phases, set()

    return wrong


def _one_phase(original):
    def wrong(kernels, in_place, shared):
        order, phases, postponed = original(kernels, in_place, shared)
        return (order, [0] * len(phases), postponed) if shared else (order, phases, postponed)

    return wrong


def _joins_read_elsewhere(original):
    def wrong(kernels, kept):
        return {x: (whole, before + 1) for x, (whole, before) in original(kernels, kept).items()}

    return wrong


def _off_by_one(original):
    def wrong(node, view):
        made = original(node, view)
        return made._replace(offset=made.offset + 1) if made and node.op is movement.slice else made

    return wrong


def _not_transposed(original):
    def wrong(node, view):
        if node.op is movement.transpose:
            return view._replace(shape=node.shape)
        return original(node, view)

    return wrong


def _repeats_nothing(original):
    def wrong(node, view):
        made = original(node, view)
        return made._replace(strides=(1,) * len(node.shape)) if node.op is movement.broadcast else made

    return wrong


def _small_arena(original):
    def wrong(self, node):
        start = original(self, node)
        self.size = start
        return start

    return wrong


PASSES = {
    "released a phase too early": (arrange._Arena, "release", _forgets_early, {HELD, OVERWRITTEN, AT_ONCE}),
    "last reader is missed": (arrange, "_last_reads", _last_reads_too_small, {HELD, OVERWRITTEN, AT_ONCE}),
    "results are not kept": (arrange, "_last_reads", _results_are_not_kept, {HELD}),
    "in place whatever reads it": (arrange, "_reads_pointwise", _always(True), {OVERWRITTEN, HELD}),
    "a late copy is lost": (arrange, "_in_place", _no_copies, {UPDATED}),
    "old values are not waited for": (
        arrange,
        "_schedule",
        _old_values_are_not_waited_for,
        {HELD, OVERWRITTEN},
    ),
    "all kernels at once": (arrange, "_schedule", _one_phase, {HELD, OVERWRITTEN, AT_ONCE}),
    "parts of a join lie elsewhere": (
        arrange,
        "_joined",
        _joins_read_elsewhere,
        {HELD, OVERWRITTEN, AT_ONCE},
    ),
    "an arena that is too small": (arrange._Arena, "take", _small_arena, {"values lie inside the arena"}),
    "a slice starts one further": (kernels, "through", _off_by_one, {FOUND}),
    "a transpose is forgotten": (kernels, "through", _not_transposed, {FOUND}),
    "a broadcast moves on": (kernels, "through", _repeats_nothing, {FOUND}),
    "every operand fits": (fuse._Grouping, "_fits", _always(True), set(RULES.values())),
    "nothing is cheap or stored": (fuse, "_mark_stored", _always(None), {READ, RULES["results"]}),
}


@pytest.mark.parametrize("name", PASSES)
def test_faults_of_passes_are_found(lowered, monkeypatch, name):
    place, function, wrong, rules = PASSES[name]
    monkeypatch.setattr(place, function, wrong(getattr(place, function)))
    found = set()
    for asked in lowered:
        try:
            arranged(*asked)
        except VerificationError as error:
            found.add(error.expected)
    assert found, "no graph shows this fault"
    assert found <= rules


# Faults in a layout


def _layouts(lowered):
    for asked in lowered:
        yield (*arranged(*asked), asked[3])


def _wrong(plan, layout, replaced, shared):
    with pytest.raises(VerificationError) as error:
        verify_layout(plan, layout, replaced, shared=shared)
    return error.value.expected


def test_strides_with_gaps_are_found(lowered):
    rules = set()
    for plan, layout, replaced, shared in _layouts(lowered):
        for node, place in layout.places.items():
            if place.buffer is None and node.shape and node.shape[-1] > 1:
                wider = replace(place, strides=tuple(2 * s for s in place.strides))
                rules.add(
                    _wrong(plan, replace(layout, places=layout.places | {node: wider}), replaced, shared)
                )
    assert rules == {"values lie in the arena without gaps"}


def test_two_values_in_one_place_are_found(lowered):
    """Every value is moved onto every other one that is read while it is alive."""
    found = 0
    for plan, layout, replaced, shared in _layouts(lowered):
        stored = [(i, n) for i, kernel in enumerate(layout.kernels) for n in kernel.stored]
        last = arrange._last_reads(
            layout.kernels, layout.phases, [*plan.outputs, *(v for v, _ in layout.copies)]
        )
        for i, x in stored:
            for j, y in stored:
                alive = layout.phases[i] < layout.phases[j] < last[x] and last[y] > layout.phases[j]
                apart = layout.places[x].buffer is None is layout.places[y].buffer and x is not y
                parts = {x, y} & set(arrange._joined(layout.kernels, set()))
                if alive and apart and not parts and 0 not in x.shape and 0 not in y.shape:
                    moved = replace(layout.places[y], offset=layout.places[x].offset)
                    broken = replace(layout, places=layout.places | {y: moved}, arena_bytes=1 << 40)
                    _wrong(plan, broken, replaced, shared)
                    found += 1
    assert found > 100


def test_axes_that_are_left_out_are_found(lowered):
    rules = set()
    for plan, layout, replaced, shared in _layouts(lowered):
        for kernel, order in layout.orders.items():
            if len(order) > 1:
                orders = layout.orders | {kernel: (order[0],) * len(order)}
                rules.add(_wrong(plan, replace(layout, orders=orders), replaced, shared))
    assert rules == {"a kernel goes along each axis once"}


def test_kernels_that_are_left_out_are_found(lowered):
    for plan, layout, replaced, shared in _layouts(lowered):
        fewer = replace(layout, kernels=layout.kernels[:-1], phases=layout.phases[:-1])
        assert _wrong(plan, fewer, replaced, shared) == "every kernel runs once"


def test_phases_that_fall_are_found(lowered):
    rules = set()
    for plan, layout, replaced, shared in _layouts(lowered):
        if layout.phases[-1] > layout.phases[0]:
            rules.add(_wrong(plan, replace(layout, phases=layout.phases[::-1]), replaced, shared))
    assert rules == {"phases rise, and only threads have several kernels in one"}


def test_late_copies_in_the_wrong_order_are_found(lowered):
    """Exchanged tensors: the second copy would read what the first one has replaced."""
    rules = set()
    for plan, layout, replaced, shared in _layouts(lowered):
        for value, target in layout.copies:
            other = next((x for x, _ in replaced if x is not target and x.shape == target.shape), None)
            if other is not None:
                rules.add(_wrong(plan, replace(layout, copies=[(value, other)]), replaced, shared))
    assert rules == {UPDATED}


# Graphs, and threads' shares


def test_passes_that_change_results_are_found():
    x, y = new_leaf((3,), np.float32), new_leaf((3,), np.float32)
    total = reduce.sum(e.multiply(x, 2.0), axis=(0,), keepdims=False)
    verify_graph([total], [reduce.sum(x, axis=(0,), keepdims=False)])
    for after, rule in [
        (e.multiply(x, 2.0), "a pass keeps the shapes and dtypes of the results"),
        (reduce.sum(y, axis=(0,), keepdims=False), "a pass adds no leaves"),
    ]:
        with pytest.raises(VerificationError) as error:
            verify_graph([total], [after])
        assert error.value.expected == rule
    total.inputs[0].shape = (4,)
    with pytest.raises(VerificationError, match="follow from the inputs"):
        verify_graph([total], [total])


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_shares_that_leave_something_out_are_found(monkeypatch, threads):
    kernels = [(0, OuterLoop(100, 8, 9000.0)), (0, OuterLoop(7, 1, 50.0)), (1, OuterLoop(64, 16, 50_000.0))]
    rows = partition.partition_kernels(kernels, threads)
    known = [(share.units, share.step) for _, share in kernels]
    for rank, column in zip(*np.nonzero(rows[:, 2:]), strict=True):
        for by in (-1, 1):
            broken = rows.copy()
            broken[rank, 2 + column] += by
            with pytest.raises(VerificationError):
                verify.verify_partition(broken, known)


def test_an_error_says_whose_mistake_it_is(monkeypatch):
    monkeypatch.setattr(settle, "through", lambda node, view: view)
    monkeypatch.setattr(kernels, "through", lambda node, view: view)
    x = cr.tensor(np.arange(6.0).reshape(2, 3))
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    with pytest.raises(VerificationError, match="the compiler broke one of its rules") as error:
        cr.compile(lambda: cr.exp(x).T.sum(axis=0) * 2)()
    assert "interpreted" in str(error.value)


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("yes", True), ("", False), ("0", False), (" off", False)]
)
def test_the_checks_can_be_switched(monkeypatch, text, on):
    monkeypatch.setenv("CHAINRULE_VERIFY", text)
    assert verify.enabled() is on


def test_text_that_llvm_can_read_but_not_trust_is_refused():
    text = """
define i64 @early() {
entry:
  %sum = add i64 %later, 1
  %later = add i64 2, 3
  ret i64 %sum
}
"""
    with pytest.raises(RuntimeError, match="does not dominate"):
        assemble(text, host())
