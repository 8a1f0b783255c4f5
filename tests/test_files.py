"""Files: whole or not there; anything damaged is a ModelFileError and nothing else."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import DtypeError, ModelFileError, SettingError
from chainrule.files import (
    FileWriteError,
    load_tensors,
    parse_json,
    save_tensors,
    write_atomically,
    written_atomically,
)
from chainrule.system import temporaries
from chainrule.system.temporaries import remove_abandoned

TENSORS = {
    "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "layer.bias": np.array([0.5, -1.0]),
    "steps": np.array(7),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    save_tensors(path, TENSORS, {"hidden": [3, 2], "name": "größe"}, "model")
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_round_trip(saved):
    tensors, metadata = load_tensors(saved, kind="model")
    assert metadata == {"hidden": [3, 2], "name": "größe"}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor, strict=True)
        tensors[name][...] = 0  # own, writable memory


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 0, 3), (3, 4)])
def test_every_dtype_and_shape_comes_back(tmp_path, dtype, shape):
    tensor = np.ones(shape, dtype=dtype)
    save_tensors(tmp_path / "t", {"t": tensor}, {}, "model")
    np.testing.assert_array_equal(load_tensors(tmp_path / "t")[0]["t"], tensor, strict=True)


@pytest.mark.parametrize(
    "tensor", [np.arange(6.0).reshape(2, 3).T, np.arange(12.0)[::3], np.arange(3, dtype=">f8")]
)
def test_transposed_strided_and_byte_swapped_arrays_keep_their_values(tmp_path, tensor):
    save_tensors(tmp_path / "t", {"t": tensor}, {}, "model")
    np.testing.assert_array_equal(load_tensors(tmp_path / "t")[0]["t"], tensor)


def test_no_tensors_at_all(tmp_path):
    save_tensors(tmp_path / "t", {}, {"a": 1}, "notes")
    assert load_tensors(tmp_path / "t") == ({}, {"a": 1})


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for i in range(8):
        save_tensors(tmp_path / str(i), TENSORS, {"a": 1}, "model")
    assert len({(tmp_path / str(i)).read_bytes() for i in range(8)}) == 1


def test_metadata_that_imitates_the_digest_does_not_confuse_it(tmp_path):
    metadata = {'"sha256":"' + "0" * 64: '"sha256":"' + "0" * 64 + '"', "sha256": "0" * 64}
    save_tensors(tmp_path / "t", {"sha256": np.zeros(100)}, metadata, "model")
    assert load_tensors(tmp_path / "t")[1] == metadata


def test_a_safetensors_reader_sees_the_header(saved):
    from safetensors import safe_open

    with safe_open(saved, framework="np") as file:
        fields = file.metadata()
    assert fields["format"] == "chainrule" and fields["version"] == "1" and fields["kind"] == "model"
    assert json.loads(fields["metadata"])["hidden"] == [3, 2]


def test_what_cannot_be_saved_leaves_the_previous_file(saved):
    before = saved.read_bytes()
    with pytest.raises(DtypeError, match="'z' cannot be saved"):
        save_tensors(saved, {"z": np.array([1j])}, {}, "model")
    with pytest.raises(DtypeError):
        save_tensors(saved, {"z": np.array([object()])}, {}, "model")
    with pytest.raises(SettingError, match="JSON"):
        save_tensors(saved, {}, {"f": print}, "model")
    for name in ("__metadata__", "\ud800"):
        with pytest.raises(SettingError, match="safetensors"):
            save_tensors(saved, {name: np.zeros(2)}, {}, "model")
    assert saved.read_bytes() == before and names(saved.parent) == ["m.safetensors"]


# Loading what is not whole, not ours or not now


def test_missing_file_names_the_nearest(saved):
    with pytest.raises(ModelFileError, match=r"there is no file .*\n.*did you mean '.*m.safetensors'"):
        load_tensors(saved.with_name("n.safetensors"))
    with pytest.raises(ModelFileError, match="there is no file"):
        load_tensors(saved.parent / "nowhere" / "m.safetensors")


def test_a_folder_is_not_a_model(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_tensors(tmp_path)


def test_wrong_kind(saved):
    with pytest.raises(ModelFileError, match=r"is not a checkpoint\n.*'checkpoint'\n.*'model'"):
        load_tensors(saved, kind="checkpoint")


@pytest.mark.parametrize("content", [b"x0,x1,y\n1,2,3\n", b"PK\x03\x04" + bytes(60), b"\x00" * 40])
def test_not_ours(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ModelFileError, match="is not a chainrule file"):
        load_tensors(tmp_path / "f")


def test_someone_elses_safetensors(tmp_path):
    from safetensors.numpy import save_file

    for metadata in (None, {"format": "pt"}):
        save_file({"w": np.zeros(2)}, tmp_path / "f", metadata=metadata)
        with pytest.raises(ModelFileError, match="is not a chainrule file"):
            load_tensors(tmp_path / "f")


def test_another_version(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(2)}, tmp_path / "f", metadata={"format": "chainrule", "version": "2"})
    with pytest.raises(ModelFileError, match=r"another version of chainrule\n.*version 1\n.*version 2"):
        load_tensors(tmp_path / "f")


def test_without_a_digest(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(2)}, tmp_path / "f", metadata={"format": "chainrule", "version": "1"})
    with pytest.raises(ModelFileError, match="damaged"):
        load_tensors(tmp_path / "f")


def forge(path: Path, header: dict[str, object] | bytes, body: bytes = b"") -> Path:
    """A file with a right digest and whatever header: what an attacker would send."""
    from chainrule.files import _digest

    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    start, digest = _digest(text, memoryview(body))
    path.write_bytes(len(text).to_bytes(8, "little") + text[:start] + digest + text[start + 64 :] + body)
    return path


def fields(**changes: object) -> dict[str, object]:
    return {
        "format": "chainrule",
        "version": "1",
        "kind": "model",
        "metadata": "{}",
        "sha256": "0" * 64,
        **changes,
    }


@pytest.mark.parametrize(
    "metadata", ["{", "[]", "1", "", "[" * 100_000, '{"a": ' + "9" * 5000 + "}", None, 3, {}]
)
def test_malformed_metadata(tmp_path, metadata):
    with pytest.raises(ModelFileError, match=r"metadata of .* is malformed"):
        load_tensors(forge(tmp_path / "f", {"__metadata__": fields(metadata=metadata)}))


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]},
        {"dtype": "F64", "shape": [2**62, 2**62], "data_offsets": [0, 8]},
        {"dtype": "F64", "shape": [1], "data_offsets": [8, 0]},
        {"dtype": "F64", "shape": [1], "data_offsets": [True, "8"]},
        {"dtype": "F64", "shape": [1], "data_offsets": None},
        {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        {"dtype": "F8_E8M0", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": "Q7", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": 3},
        [],
        None,
    ],
)
def test_a_forged_header_with_the_right_digest(tmp_path, entry):
    with pytest.raises(ModelFileError, match="tensors that cannot be read"):
        load_tensors(forge(tmp_path / "f", {"__metadata__": fields(), "w": entry}, bytes(8)))


def test_truncated_anywhere(saved, tmp_path):
    data = saved.read_bytes()
    damaged = tmp_path / "d"
    for length in range(len(data)):
        damaged.write_bytes(data[:length])
        with pytest.raises(ModelFileError, match="is truncated"):
            load_tensors(damaged)


@settings(max_examples=300, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_any_changed_byte_is_noticed(tmp_path_factory, position, change):
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "m"
    save_tensors(path, TENSORS, {"hidden": [3, 2]}, "model")
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= change
    path.write_bytes(data)
    with pytest.raises(ModelFileError):
        load_tensors(path)


def test_every_header_byte_set_to_what_json_cares_for(saved, tmp_path):
    data = saved.read_bytes()
    header = int.from_bytes(data[:8], "little")
    damaged = tmp_path / "d"
    for position in range(8 + header):
        for new in b'"{}[],:\\0 9\x00\xff':
            if data[position] == new:
                continue
            damaged.write_bytes(data[:position] + bytes([new]) + data[position + 1 :])
            with pytest.raises(ModelFileError):
                load_tensors(damaged)


def test_bytes_added_at_the_end(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="damaged"):
        load_tensors(saved)


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_never_a_model(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "b"
    path.write_bytes(data)
    with pytest.raises(ModelFileError):
        load_tensors(path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff\xfe\xff", None, "9" * 5000])
def test_parse_json_raises_nothing_else(text):
    with pytest.raises(ModelFileError, match="the settings is malformed"):
        parse_json(text, "the settings")


# Writing when the disk is full or the folder read-only


def test_write_replaces_and_keeps_permissions(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, b"one")
    path.chmod(0o640)
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["a.txt"]


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "plain").stat().st_mode == (tmp_path / "ours").stat().st_mode


@pytest.fixture
def modes_while_writing(monkeypatch):
    """The permissions of temporary files while something is written to them."""
    seen, real = [], os.write

    def write(descriptor, data):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    return seen


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o777])
@pytest.mark.parametrize("existing", [None, 0o600, 0o644, 0o640, 0o400, 0o666])
@pytest.mark.parametrize("mode", [0o666, 0o600, 0o640])
def test_permissions(tmp_path, modes_while_writing, umask, existing, mode):
    """A temporary file is nobody else's; what it becomes has the permissions of what it replaces, or the usual ones."""
    path = tmp_path / "a"
    if existing is not None:
        path.write_bytes(b"")
        path.chmod(existing)
    before = os.umask(umask)
    try:
        write_atomically(path, b"x" * 1000, mode=mode)
    finally:
        os.umask(before)
    assert set(modes_while_writing) == {0o600}
    assert stat.S_IMODE(path.stat().st_mode) == (mode & ~umask if existing is None else existing)
    path.chmod(0o600)
    assert path.read_bytes() == b"x" * 1000


KILLED = """
import os, signal, sys
from pathlib import Path
from chainrule.files import write_atomically, written_atomically

def die(*ignored):
    os.kill(os.getpid(), signal.SIGKILL)

how, path = sys.argv[1:]
if how == "parquet":
    import polars as pl
    from chainrule.tables.writing import table_writer
    with table_writer(path) as write:
        write(pl.DataFrame({"a": [1]}))
        die()
setattr(os if how != "_write_all" else sys.modules["chainrule.files"], how, die)
write_atomically(path, b"new")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("how", ["_write_all", "fsync", "replace", "parquet"])
def test_what_a_killed_process_leaves_is_removed_by_the_next_one(tmp_path, how):
    path = tmp_path / ("t.parquet" if how == "parquet" else "t")
    path.write_bytes(b"old")
    others = [
        f".{path.name}.tmp",
        f".{path.name}.0123456789ab.tmp.txt",
        f".x{path.name}.0123456789ab.tmp",
        "t.tmp",
    ]
    others += [f".{path.name}.0123456789AB.tmp", f".{path.name}.0123456789abc.tmp"]
    for other in others:  # the user's
        (tmp_path / other).write_bytes(b"")
    process = subprocess.run([sys.executable, "-c", KILLED, how, path], check=False)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old" and len(names(tmp_path)) > len(others) + 1
    write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer" and names(tmp_path) == sorted([*others, path.name])


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    path, go_on = tmp_path / "t", threading.Event()

    def slowly():
        with written_atomically(path) as place:
            assert go_on.wait(60)
            place.write_bytes(b"slow")

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(slowly)
        while len(names(tmp_path)) < 1:
            pass
        for _ in range(3):
            write_atomically(path, b"quick")
        assert len(names(tmp_path)) == 2
        go_on.set()
        slow.result()
    assert path.read_bytes() == b"slow" and names(tmp_path) == ["t"]


@pytest.mark.parametrize("when", ["making", "locking"])
def test_a_writer_whose_temporary_was_taken_for_abandoned_makes_another(tmp_path, monkeypatch, when):
    """The moment between making it and locking it."""
    path, real, taken = tmp_path / "t", temporaries.lock, []

    def lock(descriptor, *, wait=0.0):
        if wait and when == "locking" and not taken:
            taken.append(1)
            remove_abandoned(path)
        return real(descriptor, wait=wait)

    def open_(name, flags, *mode):
        descriptor = real_open(name, flags, *mode)
        if flags & os.O_EXCL and when == "making" and not taken:
            taken.append(1)
            remove_abandoned(path)
        return descriptor

    real_open = os.open
    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(temporaries, "lock", lock)
    write_atomically(path, b"data")
    assert taken and path.read_bytes() == b"data" and names(tmp_path) == ["t"]


@pytest.mark.parametrize("age", [0, 3 * 24 * 3600])
def test_without_locks_a_temporary_file_is_given_up_after_a_day(tmp_path, monkeypatch, age):
    left = tmp_path / ".t.0123456789ab.tmp"
    left.write_bytes(b"")
    os.utime(left, (time.time() - age,) * 2)
    monkeypatch.setattr("chainrule.system.locks.fcntl", None)
    write_atomically(tmp_path / "t", b"data")
    assert left.exists() == (age == 0)


def test_many_processes_write_one_file(tmp_path):
    """Each writes a whole file, and nothing is left."""
    path = tmp_path / "t"
    script = """
import sys
from chainrule.files import write_atomically
for i in range(50):
    write_atomically(sys.argv[1], sys.argv[2].encode() * 10000)
"""
    processes = [subprocess.Popen([sys.executable, "-c", script, path, letter]) for letter in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(set(path.read_bytes())) == 1 and len(path.read_bytes()) == 10000 and names(tmp_path) == ["t"]


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


def full_disk(descriptor: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(*arguments: object) -> int:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def full_after_some_bytes(real):
    def write(descriptor: int, data: memoryview) -> int:
        if len(data) > 100:
            return real(descriptor, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


@pytest.mark.parametrize(
    ("function", "replacement", "reason"),
    [
        ("write", full_disk, "No space left"),
        ("write", full_after_some_bytes(os.write), "No space left"),
        ("fsync", read_only, "Read-only"),
        ("open", read_only, "Read-only"),
        ("replace", read_only, "Read-only"),
    ],
)
def test_a_full_disk_or_read_only_folder_loses_nothing(saved, monkeypatch, function, replacement, reason):
    before = saved.read_bytes()
    monkeypatch.setattr(Path if function == "replace" else os, function, replacement)
    with pytest.raises(FileWriteError, match=reason) as caught:
        save_tensors(saved, TENSORS, {"other": 1}, "model")
    assert isinstance(caught.value, OSError) and "untouched" in str(caught.value)
    monkeypatch.undo()
    assert saved.read_bytes() == before and names(saved.parent) == ["m.safetensors"]


def test_ctrl_c_while_writing_leaves_no_temporary_file(saved, monkeypatch):
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(saved, TENSORS, {}, "model")
    assert saved.read_bytes() == before and names(saved.parent) == ["m.safetensors"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    write_atomically(tmp_path / "a", bytes(range(100)))
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == bytes(range(100))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_devices_are_written_to_and_stay_devices():
    with pytest.raises(FileWriteError, match="No space left"):
        write_atomically("/dev/full", b"data")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    write_atomically("/dev/null", b"data")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_missing_folder_and_a_folder_as_the_file(tmp_path):
    with pytest.raises(FileWriteError, match="create the folder"):
        write_atomically(tmp_path / "no" / "a.txt", b"")
    with pytest.raises(FileWriteError, match="name a file inside"):
        write_atomically(tmp_path, b"")
    with pytest.raises(FileWriteError):
        write_atomically("a\0b", b"")


def test_a_name_as_long_as_the_system_allows(tmp_path):
    for name in ("é" * 120, "x" * 255, "🙂" * 60, "é" * 127 + "x"):
        path = tmp_path / name
        write_atomically(path, b"x")
        assert path.read_bytes() == b"x"
    for name in ("x" * 256, "é" * 128):
        with pytest.raises(FileWriteError, match="too long"):
            write_atomically(tmp_path / name, b"x")
    assert len(names(tmp_path)) == 4
