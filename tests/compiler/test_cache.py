"""Object code on disk: found again, rebuilt when damaged, bounded, switched off."""

import numpy as np
import pytest

from chainrule.compiler import cache
from chainrule.compiler.program import Binary, Instance
from chainrule.graph import new_leaf


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "code"))
    return tmp_path / "code"


def program(scale=2.0):
    x = new_leaf((5, 3), np.float32, "x")
    return Instance(Binary([x], [x * scale + np.arange(3, dtype=np.float32)]))


DATA = np.ones((5, 3), np.float32)
EXPECTED = DATA * 2 + np.arange(3, dtype=np.float32)


def test_the_second_time_the_code_is_read(place, monkeypatch):
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)
    assert len(list(place.iterdir())) == 1
    monkeypatch.setattr("chainrule.compiler.program.assemble_all", None)  # nothing is compiled any more
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)


def test_another_graph_has_another_key(place):
    program(2.0)
    np.testing.assert_array_equal(program(3.0)(DATA)[0], EXPECTED + 1)
    assert len(list(place.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"short", None], ids=["empty", "short", "one byte"])
def test_a_damaged_entry_is_rebuilt(place, damage):
    program()
    (entry,) = place.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:] if damage is None else damage)
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)
    assert entry.read_bytes() == whole


def test_it_can_be_switched_off(place, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)
    assert not place.exists()


def test_a_folder_that_cannot_be_written_is_done_without(place):
    place.write_text("a file is in the way")
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)


def test_the_least_recently_used_goes_first(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT_BYTES", 2500)
    import os

    for i, key in enumerate("abcd"):
        cache.store(key, bytes(1000))
        os.utime(place / key, (i, i)) if (place / key).exists() else None
    assert cache.load("a") is None
    assert cache.load("d") == bytes(1000)
    assert sum(path.stat().st_size for path in place.iterdir()) <= 2500
