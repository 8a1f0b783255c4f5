"""What is no plain file, and what swells or lies about its size, is said at once: no hang and no traceback."""

import gzip
import os
import socket
import subprocess
import sys
import tracemalloc

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.cli import main
from chainrule.data import read_table
from chainrule.data.parts import read_parts
from chainrule.errors import ChainruleError, DataError, ModelFileError
from chainrule.files import load_tensors, save_tensors
from chainrule.tables import TrainingSettings, load_model, train_table

posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
X = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]


def resume(path):
    cr.fit(
        nn.Linear(1, 1, seed=0),
        (X, X),
        loss=nn.squared_error,
        optimizer=optim.SGD(0.1),
        epochs=1,
        checkpoint=path,
        resume=True,
        progress=False,
    )


@pytest.fixture(scope="module")
def model():
    frame = pl.DataFrame({"x": np.arange(20.0), "y": np.arange(20.0) ** 2})
    return train_table(frame, "y", TrainingSettings(epochs=1)).model


READERS = {
    "read_table": read_table,
    "read_parts": lambda path: list(read_parts(path, ["x"])),
    "load_model": load_model,
    "cr.load_model": cr.load_model,
    "load_tensors": load_tensors,
    "checkpoint": resume,
}
KINDS = {"pipe": "a pipe", "device": "a device", "socket": "a socket", "folder": "folder|directory"}


@pytest.fixture(params=KINDS)
def odd(request, tmp_path, monkeypatch):
    """A path of that kind, and how it is called."""
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    path = tmp_path / "odd"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd")
    else:
        path.mkdir()
    return path, KINDS[request.param]


@posix
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ending", ["", ".csv", ".csv.gz", ".parquet", ".arrow", ".safetensors"])
def test_every_reader_says_what_is_no_plain_file(odd, reader, ending):
    path, kind = odd
    named = path.rename(path.with_name(f"odd{ending}"))
    with pytest.raises(ChainruleError, match=f"(?i){kind}"):
        READERS[reader](named)


@posix
def test_a_model_does_not_predict_for_a_pipe(odd, model):
    path, kind = odd
    for use in (model.predict, model.score):
        with pytest.raises(DataError, match=kind):
            use(path)


@posix
@pytest.mark.parametrize("command", [["train"], ["predict", "m"], ["inspect"], ["export"]])
def test_every_command_says_it(odd, model, capsys, command):
    path, kind = odd
    model.save("m")
    words = [*command, str(path), *(["--target", "y"] if command == ["train"] else [])]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and any(word in err for word in kind.split("|"))


def expanding(size):
    """A small gzip file that expands to a table of about so many bytes."""
    return gzip.compress(b"x,y\n" + b"1.5,2\n" * (size // 6))


def peak_of(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"1.5,2\n", b"\n", b'"a",b\n', b"0" * 99])
@pytest.mark.parametrize("reader", ["read_table", "read_parts"])
def test_a_gzip_bomb_is_refused_early(tmp_path, monkeypatch, content, reader):
    monkeypatch.setattr("chainrule.data.files.origins.ALWAYS", 1 << 20)
    monkeypatch.setattr("chainrule.data.files.compressed.BLOCK", 1 << 18)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n" + content * ((16 << 20) // len(content))))

    def refused():
        with pytest.raises(DataError, match=r"far smaller than what it expands to(.*\n)*.*gunzip t.csv.gz"):
            READERS[reader](path)

    assert peak_of(refused) < 100 << 20


def test_a_compressed_table_of_ordinary_size_is_read(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(expanding(2 << 20))
    assert path.stat().st_size * 200 < 2 << 20  # more than 200 times, but small
    assert read_table(path).height == (2 << 20) // 6


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("reader", ["read_table", "read_parts"])
def test_a_table_of_a_constant_that_fills_the_memory_is_refused(tmp_path, monkeypatch, ending, reader):
    monkeypatch.setattr("chainrule.data.files.origins.ALWAYS", 1 << 20)
    path = tmp_path / f"t.{ending}"
    frame = pl.DataFrame({"x": np.zeros(4_000_000), "y": np.zeros(4_000_000)})
    frame.write_parquet(path) if ending == "parquet" else frame.write_ipc(path, compression="zstd")
    with pytest.raises(DataError, match="far smaller than the table in it"):
        READERS[reader](path)


def sparse(path, begin, size):
    """A file that begins so, and has so many bytes, most of which take no room on the disk."""
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(size)
    return path


HUGE = 1 << 42
HEADERS = {
    "nothing": b"",
    "a header as long as the file": (HUGE - 8).to_bytes(8, "little") + b"{",
    "a header longer than the file": (HUGE * 2).to_bytes(8, "little") + b"{",
    "an empty header": (2).to_bytes(8, "little") + b"{}",
    "too little content": (46).to_bytes(8, "little")
    + b'{"w":{"dtype":"U8","data_offsets":[0,1000000]}}'[:46],
}


@pytest.mark.parametrize("begin", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("reader", ["load_model", "load_tensors", "checkpoint"])
def test_a_file_of_terabytes_is_not_read_for_a_model(tmp_path, begin, reader):
    path = sparse(tmp_path / "m.safetensors", begin, HUGE)
    with pytest.raises(ModelFileError):
        READERS[reader](path)


@pytest.mark.parametrize("reader", ["read_table", "read_parts"])
def test_a_file_of_terabytes_is_not_read_for_a_table(tmp_path, reader):
    path = sparse(tmp_path / "t.csv", b"x,y\n1,2\n", HUGE)
    with pytest.raises(DataError, match=r"zero byte(.*\n)*.*line 3"):
        READERS[reader](path)


def test_a_model_that_memory_does_not_hold_is_called_that(tmp_path):
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (HUGE, HUGE)
    header += b" " * (-len(header) % 8)
    path = sparse(tmp_path / "m", len(header).to_bytes(8, "little") + header, 8 + len(header) + HUGE)
    with pytest.raises(ModelFileError, match="too large for this machine's memory"):
        load_tensors(path)


def test_what_follows_a_small_model_is_damage(tmp_path):
    save_tensors(tmp_path / "m", {"w": np.ones(3)}, {}, "model")
    with (tmp_path / "m").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelFileError, match="damaged"):
        load_tensors(tmp_path / "m")


@posix
def test_a_pipe_that_nobody_writes_to_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    command = [sys.executable, "-m", "chainrule", "train", "t.csv"]
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 2 and "t.csv is a pipe" in done.stderr
