"""Whatever bytes a model file holds, it is loaded whole or refused, in memory that its size bounds."""

import copy
import json
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ModelFileError
from chainrule.files import ZEROS, _digest, _split
from chainrule.tables import TrainingSettings, train_table

MUCH = 30_000_000  # bytes; what a file of a few kB must not need


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a good file, and a place for others."""
    frame = pl.DataFrame({"a": np.arange(40.0), "b": ["x", "y"] * 20, "c": ["yes", "no"] * 20})
    path = tmp_path_factory.mktemp("untrusted") / "m.safetensors"
    train_table(frame, "c", TrainingSettings(hidden=(3,), batch_norm=True, epochs=1)).model.save(path)
    return path.read_bytes(), path


def sealed(entries, body):
    """A file with this header whose digest is right: what a forger would write."""
    entries["__metadata__"]["sha256"] = ZEROS.decode()
    header = json.dumps(entries, separators=(",", ":")).encode()
    start, digest = _digest(header, memoryview(body))
    header = header[:start] + digest + header[start + 64 :]
    return len(header).to_bytes(8, "little") + header + bytes(body)


def row_for(model) -> pl.DataFrame:
    """A row for what the file says: columns may have other names and kinds now, and still fit together."""
    cells = {"categorical": "x", "boolean": True}
    return pl.DataFrame({c.name: [cells.get(c.kind, c.fill)] for c in model.preprocessor.used})


def loads_or_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    tracemalloc.start()
    try:
        model = cr.load_model(path)
    except ModelFileError as error:
        assert len(str(error)) < 3000
    else:
        assert all(np.isfinite(value).all() for value in model.network.state_dict().values())
        assert model.predict(row_for(model)).values.len() == 1
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MUCH


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_flipped_bytes_and_cut_ends(whole, data):
    good, path = whole
    changed = bytearray(good[: data.draw(st.one_of(st.just(len(good)), st.integers(0, len(good))), "length")])
    for _ in range(data.draw(st.integers(0, 3), "flips")):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1), "place")] ^= data.draw(
                st.integers(1, 255), "by"
            )
    path.write_bytes(changed)
    if bytes(changed) == good:
        cr.load_model(path)
    else:
        with pytest.raises(ModelFileError):
            cr.load_model(path)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([-1, 0, 1, 2, 3, 4, 10**9, 2**31, 2**63, 2**64]),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-5, 10**12), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(tree, prefix=()):
    """The keys that lead to each value of a nest of dicts and lists."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*prefix, key)
        yield from places(value, (*prefix, key))


def change(data, tree):
    """Another value, or none, somewhere in the tree."""
    *lead, last = data.draw(st.sampled_from(list(places(tree))), "where")
    for key in lead:
        tree = tree[key]
    if isinstance(tree, dict) and data.draw(st.integers(0, 9), "remove") == 0:
        del tree[last]
    else:
        tree[last] = data.draw(ODD, "value")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_forged_shapes_sizes_and_types_of_the_tensors(whole, data):
    good, path = whole
    header, body = _split(good)
    entries = json.loads(header)
    own = entries.pop("__metadata__")
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        if entries:
            change(data, entries)
    body = bytes(body)[: data.draw(st.one_of(st.just(len(body)), st.integers(0, len(body))), "body")]
    loads_or_is_refused(path, sealed({**entries, "__metadata__": dict(own)}, body))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_forged_metadata(whole, data):
    good, path = whole
    header, body = _split(good)
    entries = json.loads(header)
    metadata = json.loads(entries["__metadata__"]["metadata"])
    metadata["preprocessor"] = json.loads(metadata["preprocessor"])
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        if metadata:
            change(data, metadata)
    if isinstance(metadata.get("preprocessor"), dict):
        metadata["preprocessor"] = json.dumps(metadata["preprocessor"])
    entries["__metadata__"]["metadata"] = json.dumps(metadata)
    loads_or_is_refused(path, sealed(entries, body))


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**12])
def test_a_header_that_says_it_is_huge(whole, length):
    good, path = whole
    loads_or_is_refused(path, length.to_bytes(8, "little") + good[8:])


def test_a_tensor_that_says_it_is_huge(whole):
    good, path = whole
    header, body = _split(good)
    for shape in ([2**40, 2**40], [10**9, 3], [-1, 3]):
        entries = copy.deepcopy(json.loads(header))
        entries["0.weight"]["shape"] = shape
        loads_or_is_refused(path, sealed(entries, body))
        entries["0.weight"]["data_offsets"] = [0, 4 * abs(int(np.prod(shape, dtype=object)))]
        loads_or_is_refused(path, sealed(entries, body))


def test_a_network_that_says_it_is_deep(whole):
    good, path = whole
    header, body = _split(good)
    entries = json.loads(header)
    metadata = json.loads(entries["__metadata__"]["metadata"])
    widths = metadata["architecture"]["widths"]
    metadata["architecture"]["widths"] = [widths[0], *[1] * 200_000, widths[-1]]
    entries["__metadata__"]["metadata"] = json.dumps(metadata)
    entries["more"] = {"dtype": "F32", "shape": [300_000], "data_offsets": [len(body), len(body) + 1_200_000]}
    path.write_bytes(sealed(entries, bytes(body) + bytes(1_200_000)))
    with pytest.raises(ModelFileError, match="tensors"):
        cr.load_model(path)
