"""The short form of the soak: some small runs leave no handle, thread or temporary file, and hardly any memory."""

import gc
import sys
import threading

import numpy as np
import pytest
from tests.survival.soak import ACTIONS, MEASURES, Soak, soak
from tests.thorough import slow

QUICK = ["fit", "resume", "compiled", "eager", "mistakes", "onnx", "interrupt_anywhere", "at_once"]


@pytest.mark.parametrize("runs", [16, slow(64)])
def test_some_runs_leave_nothing_behind(tmp_path, runs):
    found = soak(300, seed=0, folder=tmp_path, every=2, names=QUICK, runs=runs)
    assert not found.errors
    assert set(found.counts) == set(QUICK)
    grown = [(name, first, last) for name, first, last, flat in found.growth() if not flat]
    assert not [growth for growth in grown if growth[0] not in ("memory, MB", "objects", "maps")], str(found)
    # caches are still filling: of the rest only what a leak in each run would come to
    limits = {"memory, MB": 60, "objects": 40_000, "maps": 500}
    assert all(last - first < limits[name] for name, first, last in grown), str(found)


@pytest.mark.parametrize("name", [name for name in ACTIONS if name not in QUICK])
def test_the_other_runs_end_as_they_should(tmp_path, name):
    found = soak(0, seed=1, folder=tmp_path, names=[name])
    assert found.counts == {name: 3}
    assert not found.errors, found.errors[0]


@pytest.mark.parametrize("name", list(MEASURES))
def test_growth_is_seen(name):
    """What a soak would measure of a process that leaks one thing per sample."""
    found = Soak()
    found.samples[name] = [100.0 + 1000 * i for i in range(40)]
    assert not found.is_flat
    found.samples[name] = [100.0] * 40
    assert found.is_flat


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_held_is_measured(tmp_path):
    def measured(name):
        gc.collect()
        return MEASURES[name][0](tmp_path)

    handles, threads, files, memory = map(measured, ("handles", "threads", "temporary files", "memory, MB"))
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    held = np.ones(30_000_000)
    try:
        with (tmp_path / "x.tmp").open("w"):
            assert measured("handles") == handles + 1
        assert measured("temporary files") == files + 1
        assert measured("threads") == threads + 1
        assert measured("memory, MB") > memory + 200
    finally:
        stop.set()
        thread.join()
    assert held.size
