"""Damaged and forged files, a few of each kind; ``python -m tests.survival.damage`` goes on."""

import json
import random

import numpy as np
import pytest
from tests.survival import forgery
from tests.survival.damage import Tally, batch, spoilt
from tests.survival.readers import READERS, fit, make_checkpoint
from tests.thorough import slow

import chainrule as cr
from chainrule.errors import ModelFileError
from chainrule.files import _split, load_tensors, save_tensors

FILES = {"checkpoint": 40, "csv": 40, "model": 60}  # the rest: fewer


@pytest.mark.parametrize("kind", ["model", *(slow(kind) for kind in READERS if kind != "model")])
def test_damaged_files_are_refused_or_used(kind: str, tmp_path) -> None:
    tally = Tally()
    batch(kind, 0, 0, FILES.get(kind, 20), tally, tmp_path)
    assert tally.finds == []
    assert tally.files == FILES.get(kind, 20)
    assert kind == "cache" or tally.refused > tally.files / 3


def test_the_watcher_sees_crashes_hangs_and_wrong_errors(monkeypatch) -> None:
    """A find is found: by a reader whose file says what it is to do."""
    for number, wrong in {
        0: "KeyError",
        1: "the process died",
        2: "no answer",
        3: "an error of",
        4: "showed",
    }.items():
        tally = Tally()
        with monkeypatch.context() as patch:
            patch.setattr("tests.survival.damage.CODE", WORSE)
            patch.setattr("tests.survival.damage.SECONDS", 1)
            batch("csv", 0, number, 1, tally)
        assert [find.partition(": ")[2].startswith(wrong) for find in tally.finds] == [True], tally.finds


WORSE = """
import os, sys, time
from pathlib import Path
from tests.survival import damage, readers
from chainrule.errors import DataError

class Long(DataError):
    def __str__(self): return "q" * 100_000

def read(path):
    number = int(sys.argv[3])
    if started.pop("good", None) is None:
        if number == 0: raise KeyError("x")
        if number == 1: os._exit(3)
        if number == 2: time.sleep(60)
        if number == 3: raise Long("x")
        if number == 4: return "q" * 1000
    return ""

started = {"good": 1}
readers.READERS["csv"] = readers.Reader(".csv", lambda path: path.write_bytes(b"a"), read, lambda rng, good: good)
damage.work(*sys.argv[1:])
"""


def test_a_file_is_that_of_its_seed_and_number(tmp_path) -> None:
    for kind in ("model", "csv"):
        path = tmp_path / "good"
        READERS[kind].make(path)
        good = path.read_bytes()
        files = [spoilt(kind, 0, number, good) for number in range(20)]
        assert files == [spoilt(kind, 0, number, good) for number in range(20)]
        assert len(set(files)) > 15


def test_forgeries_have_digests_that_fit(tmp_path) -> None:
    """They get past the digest, so that what lies behind it is looked at."""
    path = tmp_path / "m.safetensors"
    READERS["model"].make(path)
    header, body = _split(path.read_bytes())
    path.write_bytes(forgery.sealed(json.loads(header), bytes(body)))
    load_tensors(path)
    cr.load_model(path)
    behind, good = 0, path.read_bytes()
    for number in range(60):
        path.write_bytes(forgery.forged(random.Random(number), good))
        try:
            cr.load_model(path)
        except ModelFileError as error:
            behind += "does not match its digest" not in str(error)
    assert behind > 40


@pytest.mark.parametrize(
    "name, value",
    [
        ("kept_epoch", 4), ("kept_epoch", -2), ("kept_epoch", 2**53), ("steps", -1), ("steps", 10**30),
        ("steps", float("inf")), ("dropped", -1), ("stopped", "q" * 10**6),
    ],
)  # fmt: skip
def test_a_forged_replica_of_a_checkpoint(name: str, value: object, tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    make_checkpoint(path)
    tensors, metadata = load_tensors(path)
    metadata["replicas"]["1"][name] = value
    save_tensors(path, tensors, metadata, "checkpoint")
    if name == "stopped":  # a text is as good as another
        assert len(repr(fit(path))) < 300
        return
    with pytest.raises(ModelFileError, match="checkpoint is damaged"):
        fit(path)


@pytest.mark.parametrize("curve", ["loss", "validation_loss", "gradient_norm"])
@pytest.mark.parametrize(
    "forge",
    [lambda c: c[:1], lambda c: c.astype(np.float32), lambda c: c[:, None], lambda c: c[0], lambda c: c > 0],
    ids=["short", "float32", "table", "number", "boolean"],
)
def test_forged_curves_of_a_checkpoint(curve: str, forge, tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    make_checkpoint(path)
    tensors, metadata = load_tensors(path)
    tensors[f"replica/0/{curve}"] = np.asarray(forge(tensors[f"replica/0/{curve}"]))
    save_tensors(path, tensors, metadata, "checkpoint")
    with pytest.raises(ModelFileError, match="checkpoint is damaged"):
        fit(path)


@pytest.mark.parametrize("dtype", ["C64", "BF16", "F8_E4M3", "F8_E5M2"])
def test_tensors_of_dtypes_that_we_never_write(dtype: str, tmp_path) -> None:
    """safetensors reads complex numbers, and brief floats where a package for them is installed."""
    path = tmp_path / "m.safetensors"
    save_tensors(path, {"w": np.zeros(8, np.uint8)}, {}, "model")
    header, body = _split(path.read_bytes())
    entries = json.loads(header)
    entries["w"] |= {"dtype": dtype, "shape": [{"C64": 1, "BF16": 4}.get(dtype, 8)]}
    path.write_bytes(forgery.sealed(entries, bytes(body)))
    with pytest.raises(ModelFileError, match="holds"):
        load_tensors(path)
