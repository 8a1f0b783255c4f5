"""Several threads run one program together: the same bits, whoever does what."""

import copy
import ctypes
import itertools
import threading

import numpy as np
import pytest

from chainrule import nn, optim
from chainrule.compiler import partition
from chainrule.compiler.codegen.builder import module_text
from chainrule.compiler.driver import barrier_text
from chainrule.compiler.host import Library, assemble, host
from chainrule.compiler.kernels import OuterLoop
from chainrule.compiler.partition import partition_kernels
from chainrule.compiler.program import Binary, Instance, run_parts
from chainrule.compiler.team import Team
from chainrule.ops.record import Form
from chainrule.training import executors
from chainrule.training.executors import Compiling, Work
from chainrule.training.step import Objective, training_step

ROWS, STEPS = 33, 4
NETWORKS = [
    ([12, 40, 5], {}),
    ([12, 70, 33, 5], {"activation": "tanh", "dropout": 0.3}),
    ([12, 64, 64, 5], {"activation": "gelu", "batch_norm": True}),
    ([12, 200, 5], {"activation": "elu", "dropout": 0.1, "batch_norm": True}),
]


def traced(widths, options, optimizer=None):
    model = nn.MLP(widths, seed=1, **options).initialise(3)
    own = copy.copy(optimizer or optim.Adam(1e-2))
    own.attach(model)
    forms = (Form((ROWS, widths[0]), np.dtype(np.float32)), Form((ROWS,), np.dtype(np.int64)))
    objective = Objective(model=model, loss=nn.cross_entropy, penalty=nn.l2(1e-3))
    return model, training_step(objective, own, 1.0, forms)


def data(widths):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, widths[0])).astype(np.float32)
    order = np.stack([rng.permutation(80)[:ROWS] for _ in range(STEPS)])
    return (x, rng.integers(0, widths[-1], 80)), order


def trained(widths, options, threads, shared=True):
    model, step = traced(widths, options)
    updates = [(before, after) for _, before, after in step.updates]
    program = Instance(
        Binary(step.inputs, step.outputs, updates, rows=ROWS, shared=shared), threads=max(threads, 1)
    )
    part = program.part(*data(widths), STEPS, threads)
    run_parts([part], Team(threads), threads)
    return [part.records, *(p.data.copy() for p in model.parameters())]


@pytest.mark.parametrize(("widths", "options"), NETWORKS, ids=str)
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, widths, options):
    monkeypatch.setattr(partition, "WORTH_SHARING", 0)  # cut whatever can be cut
    expected = trained(widths, options, 1, shared=False)
    for threads in (1, 2, 3, 5):
        for mine, its in zip(expected, trained(widths, options, threads), strict=True):
            np.testing.assert_array_equal(mine, its)


def test_everything_is_done_once():
    """Each kernel's units are covered without gap or overlap, in steps."""
    rng = np.random.default_rng(0)
    kernels = []
    for phase, _ in itertools.product(range(6), range(4)):
        step = int(rng.integers(1, 9))
        kernels.append((phase, OuterLoop(int(rng.integers(1, 300)), step, float(rng.integers(1, 100_000)))))
    for threads in (1, 2, 3, 8):
        rows = partition_kernels(kernels, threads)
        assert rows[:, 0].tolist() == list(range(threads)) and (rows[:, 1] == threads).all()
        for number, (_, share) in enumerate(kernels):
            parts = sorted((a, b) for a, b in rows[:, 2 + 2 * number : 4 + 2 * number].tolist() if b > a)
            edges = [edge for part in parts for edge in part]
            assert edges[0] == 0 and edges[-1] == share.units and edges[1:-1:2] == edges[2:-1:2]
            assert all(first % share.step == 0 for first, _ in parts)


def test_large_kernels_are_divided_evenly():
    rows = partition_kernels([(0, OuterLoop(100, 1, 1e6)), (0, OuterLoop(1, 1, 2e5))], 2)
    (a, b), (c, d) = rows[:, 2:4].tolist()
    assert (a, c, d) == (0, b, 100)
    assert b in (40, 60)  # whoever has the other kernel does less of this one


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_the_executor_changes_the_number_of_threads_between_calls(monkeypatch, seconds):
    """It tries one and several; in whatever pieces, what comes out has the same bits."""
    widths, options = NETWORKS[1]
    monkeypatch.setattr(executors, "WORTH_THREADS", 0)
    monkeypatch.setattr(executors, "TRIAL_SECONDS", seconds)
    monkeypatch.setattr(executors, "CALL_SECONDS", seconds)
    results = []
    for threads in (1, 3):
        model, step = traced(widths, options)
        executor = Compiling(threads)
        runner = executor.compile_step(step)({})
        assert runner.shared == (threads > 1)
        rows, order = data(widths)
        used = []
        monkeypatch.setattr(
            "chainrule.compiler.program.run_parts",
            lambda parts, team, count, used=used: (used.append(count), run_parts(parts, team, count)),
        )
        records = executor.run([Work(runner, rows, order, STEPS)] * 3, lambda: None)
        assert set(used) == ({1, threads} if seconds == 0 else {1})
        results.append([*records, *(p.data.copy() for p in model.parameters())])
    for mine, its in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_consecutive_rows_are_read_where_they_lie():
    widths, options = NETWORKS[0]
    (model, step), (other, same) = traced(widths, options), traced(widths, options)
    (x, y), _ = data(widths)
    found = []
    for made, order in ((step, None), (same, np.arange(2 * ROWS).reshape(2, ROWS))):
        updates = [(before, after) for _, before, after in made.updates]
        program = Instance(Binary(made.inputs, made.outputs, updates, rows=ROWS))
        part = program.part((x, y), order, 2, 1)
        run_parts([part])
        found.append(part.records)
    np.testing.assert_array_equal(*found)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_nobody_waits_for_a_thread_that_does_not_come():
    """An interruption between handing out the work and beginning it: all threads end, and work again later."""
    target = host()
    text = module_text([], target.attributes, globals=[barrier_text(target)])
    library = Library(assemble(text, target), target)
    kinds = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
    wait = ctypes.CFUNCTYPE(None, *kinds)(library.address("barrier"))
    team, done, interrupted = Team(3), [], threading.Event()
    begun = threading.Barrier(3)

    def work(rank, barrier):
        begun.wait(60)
        if rank == 0 and not interrupted.is_set():
            raise KeyboardInterrupt
        for _ in range(3):
            wait(barrier, rank, 3)
        done.append(rank)

    def run():
        with pytest.raises(KeyboardInterrupt):
            team.run(work, 3)
        interrupted.set()

    caller = threading.Thread(target=run, daemon=True)  # so that a hang fails this test, not the whole run
    caller.start()
    assert interrupted.wait(60)
    caller.join()
    assert sorted(done) == [1, 2]
    team.run(work, 3)
    assert sorted(done) == [0, 1, 1, 2, 2]
