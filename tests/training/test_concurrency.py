"""Replicas that do not fit into memory together train one after the other, with the same bits."""

import subprocess
import sys

import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.training import concurrency, replicas

pytestmark = pytest.mark.usefixtures("many_cores")


@pytest.fixture
def train(make_model, regression):
    def run(restarts=4, **settings):
        defaults = {"optimizer": optim.Adam(0.05), "epochs": 3, "batch_size": 16, "threads": 3}
        model = make_model(dropout=0.2)
        return cr.fit(model, regression, loss=nn.squared_error, restarts=restarts, **(defaults | settings))

    return run


@pytest.fixture
def sizes(monkeypatch):
    """How many replicas trained at a time, in each call of fit."""
    found, original = [], replicas.at_a_time

    def at_a_time(*given):
        found.append(original(*given))
        return found[-1]

    monkeypatch.setattr(replicas, "at_a_time", at_a_time)
    return found


def least(train, **settings):
    """The smallest limit that fit accepts, from its own message."""
    with pytest.raises(SettingError, match="memory_limit is too small") as caught:
        train(memory_limit=1, **settings)
    return int(str(caught.value.expected).split()[2])


@pytest.mark.parametrize("restarts", [4, cr.Halving(5)])
def test_batches_of_replicas_change_no_bit(train, sizes, same_state, restarts):
    free = train(restarts)
    smallest = least(train, restarts=restarts)
    alone = train(restarts, memory_limit=smallest)
    two = train(restarts, memory_limit=2 * smallest)
    assert sizes[0] == 3 and sizes[1] == 1 and 1 < sizes[2] <= 3
    for other in (alone, two):
        assert other.best == free.best and other.dropped == free.dropped
        for mine, its in zip(other.replicas, free.replicas, strict=True):
            assert mine.loss == its.loss
            same_state(mine.state, its.state)


def test_a_limit_that_is_too_small(train):
    smallest = least(train)
    train(memory_limit=smallest)
    with pytest.raises(SettingError):
        train(memory_limit=smallest - 1)
    assert least(train, restarts=8) > smallest
    assert least(train, restarts=1) < smallest
    assert least(train, executor="interpreted") > 0


def test_the_model_is_settled_after_such_an_error(train, make_model, regression):
    model = make_model(dropout=0.2)
    before = model.state_dict()
    with pytest.raises(SettingError):
        cr.fit(model, regression, loss=nn.squared_error, optimizer=optim.SGD(0.1), restarts=2, memory_limit=1)
    assert not model.training
    assert all((model.state_dict()[name] == value).all() for name, value in before.items())


def test_auto_takes_a_share_of_what_is_free(train, sizes, monkeypatch):
    smallest = least(train)
    monkeypatch.setattr(concurrency, "SMALL", 0)
    for free in (2 * smallest, 100 * smallest, 1, None):
        monkeypatch.setattr(concurrency, "available_memory", lambda free=free: free)
        train()
    assert sizes == [1, 3, 1, 3]
    train(memory_limit=None)
    assert sizes[-1] == 3


def test_what_is_free(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9 kB\nMemAvailable:    7 kB\n")
    assert concurrency._from_meminfo(meminfo) == 7 * 1024
    assert concurrency._from_meminfo(tmp_path / "none") is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert concurrency._from_control_group(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert concurrency._from_control_group(tmp_path) is None
    assert concurrency._from_control_group(tmp_path / "none") is None
    assert concurrency.available_memory() > 0


@pytest.mark.parametrize("limit", ["much", 0, -1, 1.5, True])
def test_settings_are_checked(train, limit):
    with pytest.raises(SettingError, match="memory_limit"):
        train(memory_limit=limit)


SCRIPT = """
import sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

def held():
    lines = open("/proc/self/status").read().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Vm")}

rng = np.random.default_rng(0)
x = rng.normal(size=(30000, 784)).astype(np.float32)  # 90 MiB
y = rng.integers(0, 10, 30000)

def train(model, rows, restarts=1):
    cr.fit(model, (x[:rows], y[:rows]), loss=nn.cross_entropy, optimizer=optim.Adam(1e-3), epochs=1,
           batch_size=200, restarts=restarts, threads=2, progress=False)

train(nn.MLP([784, 8, 10]), 400)  # LLVM's library is loaded, whose pages are not counted here
model = nn.MLP([784, 256, 128, 10])
open("/proc/self/clear_refs", "w").write("5")
before = held()["VmRSS"]
train(model, 30000 if sys.argv[1] == "1" else 2000, int(sys.argv[1]))
print(held()["VmHWM"] - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [1, 16])
def test_peak_memory(restarts):
    """Parameters and optimizer state times R, gradients and activations for each thread, 64 MiB; no copy of data."""
    if not sys.platform.startswith("linux"):
        return  # there is no such way to look elsewhere
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(restarts)], capture_output=True, text=True, check=True, timeout=600
    )
    parameters = 4 * (784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10)
    activations = 4 * 200 * (784 + 256 + 128 + 10)
    allowed = 3 * restarts * parameters + 2 * (parameters + activations) + 64 * 2**20
    assert int(done.stdout) < allowed
