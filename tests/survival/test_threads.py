"""Threads and processes: whoever calls at the same time gets the same bits, and nobody keeps anybody waiting.

Nothing here depends on who is faster: threads wait for each other at events, and a hang ends by a timeout.
"""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.thorough import slow

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler import host, partition, team
from chainrule.compiler.program import Binary, Instance
from chainrule.graph import new_leaf
from chainrule.system.forks import free_in_children
from chainrule.system.threads import Workers, end, in_thread
from chainrule.training import executors

SOURCES = str(Path(cr.__file__).parent.parent)
X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)
Y = X[:, :1] ** 2


def trained(seed=0, widths=(4, 8, 1), **settings):
    model = nn.MLP(list(widths), seed=seed)
    defaults = {"optimizer": optim.Adam(0.01), "epochs": 3, "batch_size": 5, "progress": False}
    history = cr.fit(model, (X, Y), loss=nn.squared_error, **(defaults | settings))
    return [*history.loss.tolist(), *(p.numpy().tolist() for p in model.parameters())]


def run(script, cwd, timeout=600, **environment):
    """A process of its own."""
    environment = {**os.environ, "PYTHONPATH": SOURCES, **environment}
    command = [sys.executable, "-X", "faulthandler", "-c", script]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=timeout, env=environment, cwd=cwd
    )


# Threads


def test_threads_that_call_one_compiled_function_take_turns():
    weight = cr.tensor(X[:4])
    fast = cr.compile(lambda x: cr.tanh(x @ weight).sum(axis=1))
    inputs = [X * scale for scale in range(8)]
    expected = [cr.tanh(cr.tensor(x) @ weight).sum(axis=1).numpy() for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            for got, wanted in zip(pool.map(fast, inputs), expected, strict=True):
                np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_threads_that_compile_at_the_same_time():
    begin = threading.Barrier(6)

    def compiled(number):
        begin.wait(60)
        x = new_leaf((3, 4), np.float32)
        return Instance(Binary([x], [x * float(number) + 0.25]))(X[:3])[0]

    with ThreadPoolExecutor(6) as pool:
        for number, got in enumerate(pool.map(compiled, range(6))):
            np.testing.assert_array_equal(got, X[:3] * np.float32(number) + np.float32(0.25))


def test_predict_beside_fit():
    """Another model's predictions do not change while one is trained, nor does the training."""
    steady, alone = nn.MLP([4, 8, 1], seed=5), trained(epochs=30)
    expected, stop = steady.predict(X), threading.Event()

    def predict():
        count = 0
        while not stop.is_set() or not count:
            np.testing.assert_array_equal(steady.predict(X), expected)
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        beside = [pool.submit(predict) for _ in range(2)]
        try:
            assert trained(epochs=30) == alone
        finally:
            stop.set()
        assert all(result.result() for result in beside)


def test_fits_of_different_models():
    alone = [trained(seed, restarts=1 + seed % 2) for seed in range(6)]
    begin = threading.Barrier(6)

    def train(seed):
        begin.wait(60)
        return trained(seed, restarts=1 + seed % 2)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(train, range(6))) == alone


def test_asyncio():
    async def both():
        return await asyncio.gather(*(asyncio.to_thread(trained, seed) for seed in range(3)))

    assert asyncio.run(both()) == [trained(seed) for seed in range(3)]


# More threads than cores


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("threads", [1, 2, 64, 3000])
def test_threads_are_capped_at_the_cores(monkeypatch, threads, restarts):
    monkeypatch.setattr(partition, "WORTH_SHARING", 0)
    monkeypatch.setattr(executors, "WORTH_THREADS", 0)
    monkeypatch.setattr(executors, "SURELY_WORTH_THREADS", 0)
    started, teams = threading.active_count(), []
    original = team.Team.__init__
    monkeypatch.setattr(team.Team, "__init__", lambda self, n: (teams.append(n), original(self, n))[1])
    at_once = []
    settings = {"restarts": restarts, "widths": (4, 40, 40, 1)}
    got = trained(threads=threads, callbacks=[lambda _: at_once.append(threading.active_count())], **settings)
    assert got == trained(threads=1, **settings)
    cores = host.available_cores()
    assert all(n <= cores for n in teams) and max(at_once) - started <= cores + 1


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("max 100000", None),
        ("150000 100000\n", 1.5),
        ("5000 100000", 0.05),
        ("", None),
        ("1 0", None),
        ("a b c", None),
    ],
)
def test_a_containers_share_of_the_processors(tmp_path, monkeypatch, text, share):
    (tmp_path / "cpu.max").write_text(text)
    assert host._share_of_container(tmp_path / "cpu.max") == share
    assert host._share_of_container(tmp_path / "none") is None
    monkeypatch.setattr(host, "_share_of_container", lambda: share)
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert host.available_cores() == {None: 4, 1.5: 2, 0.05: 1}[share]


# The end of the process

TRAINING = """
import threading
import numpy as np, chainrule as cr
from chainrule import nn, optim
from chainrule.compiler import partition
from chainrule.training import executors
partition.WORTH_SHARING = executors.WORTH_THREADS = executors.SURELY_WORTH_THREADS = 0
x = np.ones((64, 3), np.float32)
begun = threading.Event()
def train(epochs, **settings):
    return cr.fit(nn.MLP([3, 64, 64, 1]), (x, x[:, :1]), loss=nn.squared_error, optimizer=optim.Adam(), epochs=epochs,
                  progress=False, **settings)
"""
SEEN = """
original = executors.Compiling.run
executors.Compiling.run = lambda *given: (begun.set(), original(*given))[1]
"""
SETTINGS = [
    "restarts=1",
    "restarts=2",
    "restarts=3, callbacks=[lambda epoch: None]",
    "restarts=cr.Halving(4, every=1)",
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_daemon_thread_that_trains_does_not_keep_the_process_from_ending(tmp_path, settings):
    begin = (
        f"threading.Thread(target=lambda: train(1_000_000, {settings}), daemon=True).start(); begun.wait()"
    )
    done = run(TRAINING + SEEN + begin, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_daemon_thread_that_compiles_does_not_crash_the_process_that_ends(tmp_path):
    seen = """
from chainrule.compiler import llvm
original = llvm.function
def function(name, *kinds):
    if name == "LLVMPY_TargetMachineEmitToMemory": begun.set()
    return original(name, *kinds)
llvm.function = function
threading.Thread(target=lambda: train(1), daemon=True).start(); begun.wait()
"""
    for _ in range(3):
        done = run(TRAINING + seen, tmp_path, CHAINRULE_CACHE="off")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_thread_that_is_no_daemon_trains_to_the_end(tmp_path, settings):
    """Also what it begins when the main thread is done already: compiling, a team, replicas."""
    script = f"""
def later():
    threading.main_thread().join()
    print(train(3, {settings}).stopped[-1])
threading.Thread(target=later).start()
"""
    done = run(TRAINING + script, tmp_path, CHAINRULE_CACHE="off")
    assert (done.returncode, done.stdout, done.stderr) == (0, "all epochs done\n", "")


# Other processes


FORKING = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of every fork beside threads
import numpy as np, chainrule as cr
from chainrule import nn, optim
from chainrule.compiler import llvm
from chainrule.compiler.program import Binary, Instance
from chainrule.compiler.team import Team
from chainrule.graph import new_leaf

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)

def compiled(scale):
    x = new_leaf((3, 4), np.float32)
    np.testing.assert_array_equal(Instance(Binary([x], [x * scale]))(X[:3])[0], X[:3] * np.float32(scale))

def in_child(work):
    pid = os.fork()
    if not pid:
        threading.Timer(30, os._exit, (3,)).start()  # it hangs
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def held_during_a_fork(lock, work):
    \"\"\"Fork while another thread holds a lock, for as long as the fork waits for it, up to a second.\"\"\"
    held, forked = threading.Event(), threading.Event()
    def hold():
        with lock():
            held.set()
            forked.wait(1)
    threading.Thread(target=hold).start()
    held.wait()
    ended = in_child(work)
    forked.set()
    return ended
"""


def test_a_fork_while_another_thread_is_inside_llvm(tmp_path):
    script = """
def free():
    def take():
        for lock in llvm._TURNS:
            assert lock.acquire(timeout=60)
        taken.append(True)
    taken = []
    other = threading.Thread(target=take)
    other.start(); other.join()
    assert taken

compiled(2.0)
assert held_during_a_fork(llvm.turn, free) == 0
assert held_during_a_fork(llvm.turn, lambda: [compiled(2.0 + i) for i in range(5)]) == 0
"""
    done = run(FORKING + script, tmp_path, CHAINRULE_CACHE="off")
    assert done.returncode == 0, done.stderr


def test_forks_while_other_threads_compile(tmp_path):
    script = """
compiled(0.5)  # so that all is imported: Python's own locks of modules are not made for forks
stop = threading.Event()
def compile_on(number):
    while not stop.is_set():
        compiled(number := number + 0.001)
threads = [threading.Thread(target=compile_on, args=(number,)) for number in (1.0, 2.0)]
for thread in threads: thread.start()
try:
    assert [in_child(lambda: compiled(10.0 + i)) for i in range(20)] == [0] * 20
finally:
    stop.set()
"""
    done = run(FORKING + script, tmp_path, CHAINRULE_CACHE="off")
    assert done.returncode == 0, done.stderr


def test_a_fork_while_another_thread_is_inside_a_program(tmp_path):
    """A compiled function, a model's predict, an estimator's, and what training is traced under."""
    script = """
from chainrule.estimators import MLPRegressor
from chainrule.estimators.predictor import _PREDICTORS
fast, model = cr.compile(lambda x: x * 2.0), nn.MLP([4, 3, 1], seed=0)
estimator = MLPRegressor(solver="sgd", max_iter=300, random_state=0).fit(X, X[:, 0])
expected = fast(X).numpy(), model.predict(X), estimator.predict(X)
lock = fast._call.__closure__[[*fast._call.__code__.co_freevars].index("lock")].cell_contents
(predictor,) = _PREDICTORS.values()

def again():
    for got, wanted in zip((fast(X).numpy(), model.predict(X), estimator.predict(X)), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)

for each in (lock, model._predictor._lock, predictor._lock):
    assert held_during_a_fork(lambda: each, again) == 0
    assert not each.locked() or each.acquire(timeout=60)
"""
    done = run(FORKING + script, tmp_path)
    assert done.returncode == 0, done.stderr


def test_threads_of_the_parent_are_not_waited_for_in_a_child(tmp_path):
    script = """
from chainrule.compiler import partition
from chainrule.training import executors
partition.WORTH_SHARING = executors.WORTH_THREADS = executors.SURELY_WORTH_THREADS = 0
def train(restarts=1):
    model = nn.MLP([4, 40, 40, 1], seed=0)
    cr.fit(model, (X, X[:, :1]), loss=nn.squared_error, optimizer=optim.Adam(), epochs=2, restarts=restarts)
    return model.predict(X).tolist()
expected = train(), train(3)
def again():
    assert (train(), train(3)) == expected
assert in_child(again) == 0

ranks, together = [], Team(3)
def used(work=None):
    ranks.clear()
    together.run(lambda rank, barrier: ranks.append(rank), 3)
    assert sorted(ranks) == [0, 1, 2]
used()
assert in_child(used) == 0
assert in_child(lambda: in_child(used) or used()) == 0
used()

def inside(epoch):  # of a child, which goes on with the fit that it is in
    global pid
    if epoch.number == 1:
        pid = os.fork()
        if not pid: threading.Timer(30, os._exit, (3,)).start()
pid, model = None, nn.MLP([4, 40, 40, 1], seed=0)
cr.fit(model, (X, X[:, :1]), loss=nn.squared_error, optimizer=optim.Adam(), epochs=2, callbacks=[inside])
assert model.predict(X).tolist() == expected[0]
if not pid: os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    done = run(FORKING + script, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path, method):
    script = f"""
import multiprocessing, threading, warnings
warnings.simplefilter("ignore")
import numpy as np, chainrule as cr
from chainrule import nn, optim
x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)

def train(seed):
    model = nn.MLP([4, 8, 1], seed=seed)
    cr.fit(model, (x, x[:, :1]), loss=nn.squared_error, optimizer=optim.Adam(), epochs=2, restarts=2, progress=False)
    return model.predict(x).tolist()

if __name__ == "__main__":
    expected = [train(seed) for seed in range(3)]
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        assert pool.map(train, range(3)) == expected
"""
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, str(tmp_path / "script.py")]
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr


# The threads themselves


def test_what_was_begun_is_waited_for_however_often_one_interrupts(monkeypatch):
    """Its memory would be freed under it otherwise. What no thread has taken yet never runs."""
    from chainrule.system import threads

    go, done, waits, original = threading.Event(), [], [], threads.wait

    def interrupted(results):
        waits.append(len(results))
        if len(waits) < 3:
            raise KeyboardInterrupt
        go.set()
        return original(results)

    begun = in_thread(lambda: (go.wait(60), done.append("begun")))
    while not begun.running():
        pass
    never: Future[None] = Future()
    monkeypatch.setattr(threads, "wait", interrupted)
    end([begun, never])
    assert done == ["begun"] and waits == [1, 1, 1]
    workers = Workers(1)
    workers.submit(0, never, done.append, "never")
    after: Future[None] = Future()
    workers.submit(0, after, done.append, "after")
    after.result(60)
    assert done == ["begun", "after"]


def test_threads_end_with_their_team():
    before = set(threading.enumerate())
    together = team.Team(3)
    together.run(lambda rank, barrier: None, 3)
    mine = set(threading.enumerate()) - before
    assert len(mine) == 2
    del together
    for thread in mine:
        thread.join(60)
        assert not thread.is_alive()


def test_an_exception_in_a_thread_is_raised_where_the_result_is_asked_for():
    with pytest.raises(ZeroDivisionError):
        in_thread(divmod, 1, 0).result()


def test_a_lock_that_is_free_in_children_is_a_lock_here():
    lock = free_in_children(threading.Lock())
    with lock:
        assert not lock.acquire(blocking=False)
    assert lock.acquire(blocking=False)


FORKS = """
import os, sys, threading, traceback
import numpy as np, chainrule as cr
x, step, stands, go = np.ones(8, np.float32), int(sys.argv[1]), threading.Semaphore(0), threading.Semaphore(0)
me, events, forks = os.getpid(), [], 0

def work():
    cr.compile(lambda a: a * 2)(x)
    events.append(None)
    stands.release()

def hook(event, args):
    if event in ("import", "exec") and threading.current_thread() is worker and os.getpid() == me:
        events.append(event == "import" and args[1] is not None)  # whether an extension module is being loaded
        stands.release()
        go.acquire()

worker = threading.Thread(target=work)
sys.addaudithook(hook)
worker.start()
while not stands.acquire() or events[-1] is not None:
    if events[-1] or len(events) % step == 0:
        forks += 1
        child = os.fork()
        if child == 0:
            try:
                assert float(cr.compile(lambda a: a * 3)(x).sum()) == 24
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0, (len(events), forks)
    go.release()
print(forks)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(("step", "least"), [(200, 3), slow(1, 100)])  # Python may have extensions built in
def test_a_fork_while_another_thread_imports_what_compiles(step, least):
    """The first thing that is compiled imports the compiler; the child would wait for ever for that module's lock.

    The thread stands still at every import, and there a child is forked: at each extension module, which cannot be
    imported a second time, and at each ``step``-th other one.
    """
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(step)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > least
