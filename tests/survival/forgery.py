"""Damage: bytes that a disk, a network or a forger may have made of a file. All of it follows from a random number."""

import gzip
import io
import json
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.files import ZEROS, _digest, _split

Rng = random.Random

DEEP = "deep"  # a placeholder: JSON that Python cannot make, because it is nested too deeply or has too many digits
RAW = {f"{DEEP}-{depth}": "[" * depth + "]" * depth for depth in (50, 400, 900, 990, 1000, 20_000)} | {
    f"{DEEP}-objects": '{"a":' * 950 + "1" + "}" * 950,
    f"{DEEP}-digits": "1" * 5000,
    f"{DEEP}-exponent": "1e400",
}

TEXTS = [
    "",
    " ",
    "a",
    "q" * 100_000,
    "\x1b]0;x\x07\x1b[31m",
    "\u202egnp",
    "\x00",
    "\ud800",
    "<img src=x onerror=alert(1)>",
    "$$",
    "{0}",
    "../../etc/passwd",
    "nan",
    "1e999",
    "relu",
    "softmax",
    "text",
    "regression",
    "ignored",
    "\u0130" * 60,
]
NUMBERS = [-1, 0, 1, 2, 3, 255, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(10**30)]
FLOATS = [0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, 1e-300, float("nan"), float("inf"), float("-inf")]
DTYPES = [
    "BOOL",
    "U8",
    "I8",
    "F8_E5M2",
    "F8_E4M3",
    "I16",
    "U16",
    "F16",
    "BF16",
    "I32",
    "U32",
    "F32",
    "F64",
    "I64",
    "U64",
    "F4",
    "C64",
    "f32",
    "",
    "object",
    "|O",
]


def flipped(rng: Rng, data: bytes) -> bytes:
    """Some bits are others."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: Rng, data: bytes) -> bytes:
    """The end is missing."""
    return data[: rng.choice([0, 1, 7, 8, 9, rng.randrange(len(data) + 1)])]


def grown(rng: Rng, data: bytes) -> bytes:
    """Something is put in or behind."""
    place = rng.choice([0, len(data), rng.randrange(len(data) + 1)])
    more = rng.choice(
        [
            b"\x00" * 1000,
            b"\xff" * 9,
            rng.randbytes(100),
            data[:500],
            b"\n",
            b'"',
            b"\r",
            b"PAR1",
            b"\xef\xbb\xbf",
        ]
    )
    return data[:place] + more + data[place:]


def spliced(rng: Rng, data: bytes) -> bytes:
    """A part lies over another."""
    a, b = (rng.randrange(len(data) + 1) for _ in range(2))
    size = rng.choice([1, 4, 8, 100, 1000])
    return data[:a] + data[b : b + size] + data[a + size :]


def numbers_set(rng: Rng, data: bytes) -> bytes:
    """Eight bytes are those of a number that readers fear, wherever lengths may stand."""
    place = rng.choice([0, max(len(data) - 8, 0), max(len(data) - 12, 0), rng.randrange(len(data) + 1)])
    value = rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, len(data), rng.randrange(10**6)])
    width = rng.choice([1, 2, 4, 8])
    return data[:place] + (value % 256**width).to_bytes(width, "little") + data[place + width :]


DAMAGE: list[Callable[[Rng, bytes], bytes]] = [flipped, flipped, cut, grown, spliced, numbers_set]


def damaged(rng: Rng, data: bytes) -> bytes:
    """The bytes after one or a few accidents."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = rng.choice(DAMAGE)(rng, data)
    return data


def damaged_text(rng: Rng, data: bytes) -> bytes:
    """A table as text, with odd cells and lines; now and then accidents too."""
    lines = [line.split(b",") for line in data.split(b"\n")]
    for _ in range(rng.choice([1, 1, 2, 10])):
        line = rng.choice([line for line in lines if line])
        line[rng.randrange(len(line))] = rng.choice(_CELLS)
        if rng.random() < 0.2:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice([[], [b""], [b","] * 3, list(line)]))
    text = b"\n".join(b",".join(line) for line in lines)
    return damaged(rng, text) if rng.random() < 0.3 else text


_CELLS = [
    b"",
    b" ",
    b"\x00",
    b'"',
    b'""',
    b'"a\nb"',
    b"a\rb",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"1e999",
    b"-inf",
    b"nan",
    b"9" * 400,
    b"0x10",
    b"1_000",
    b"1,5",
    b"=cmd|' /C calc'!A0",
    b"\x1b[31m",
    "\u202e".encode(),
    b"q" * 140_000,
    b"2026-13-45",
    b"2026-01-01T00:00:00Z",
    b"99999-01-01",
    b"true",
    b"TRUE",
    b"None",
    b";",
    b"\t",
    b"'",
    b"\\",
    b"a,b",
    b"1" * 20,
]


def foreign(rng: Rng, data: bytes) -> bytes:
    """A file of another kind, under this one's name; a pickle that would say so if it were ever loaded."""
    archive = io.BytesIO()
    np.savez(archive, x=np.ones(3))
    return rng.choice(
        [
            pickle.dumps(_Loaded()),
            archive.getvalue(),
            gzip.compress(data, mtime=0),
            b"PAR1" + data + b"PAR1",
            b"\x08\x0a\x12\x04" + data,
            b"\x7fELF" + data,
            b"%PDF-1.7\n" + data,
            b"\x89PNG\r\n\x1a\n" + data,
            b"<html>" + data,
            b"GGUF" + data,
            b"{}",
            data[8:],
            (2**63).to_bytes(8, "little") + b"{",
            (100 * 2**20).to_bytes(8, "little") + b"{" + b" " * 1000,
        ]
    )


class _Loaded:
    def __reduce__(self):
        return SystemExit, ("a pickle was loaded",)


def forged(rng: Rng, data: bytes) -> bytes:
    """A safetensors file whose header says something else, its digest right: what a forger would write."""
    header, body = _split(data)
    entries = json.loads(header)
    changed = bytes(body)
    for _ in range(rng.choice([1, 1, 2, 3])):
        where = rng.random()
        if where < 0.55:
            _forge_metadata(rng, entries["__metadata__"])
        elif where < 0.9:
            _forge_tensors(rng, entries, len(body))
        else:
            changed = damaged(rng, changed)
    return sealed(entries, changed)


def sealed(entries: dict[str, Any], body: bytes) -> bytes:
    """The file of these entries, with its digest."""
    fields = entries.get("__metadata__")
    if isinstance(fields, dict):
        fields["sha256"] = ZEROS.decode()
    text = json.dumps(entries)
    for placeholder, raw in RAW.items():
        text = text.replace(json.dumps(placeholder), raw)
    header = text.encode("utf-8", "surrogatepass").replace(b'"sha256": "', b'"sha256":"')
    start, digest = _digest(header, memoryview(body))
    if start >= 0:
        header = header[:start] + digest + header[start + 64 :]
    return len(header).to_bytes(8, "little") + header + body


def _forge_metadata(rng: Rng, fields: dict[str, Any]) -> None:
    if rng.random() < 0.1:
        fields[rng.choice(["version", "kind", "format", "metadata", "other"])] = _value(rng)
        return
    try:
        tree = json.loads(fields["metadata"])
        nested = isinstance(tree.get("preprocessor"), str) and rng.random() < 0.6
        inner = json.loads(tree["preprocessor"]) if nested else tree
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):  # forged before
        return
    _change(rng, inner)
    if nested:
        tree["preprocessor"] = _raw(json.dumps(inner))
    fields["metadata"] = _raw(json.dumps(tree))


def _raw(text: str) -> str:
    for placeholder, raw in RAW.items():
        text = text.replace(json.dumps(placeholder), raw)
    return text


def _forge_tensors(rng: Rng, entries: dict[str, Any], size: int) -> None:
    names = [name for name in entries if name != "__metadata__"]
    if not names:
        return
    name = rng.choice(names)
    entry = entries[name]
    kind = rng.randrange(7) if isinstance(entry, dict) else 6
    if kind == 0:
        entry["dtype"] = rng.choice(DTYPES)
    elif kind == 1:
        shapes = [
            [],
            [0],
            [1],
            [2**62, 4],
            [2**63],
            [-1],
            [1.5],
            ["3"],
            [1] * 10_000,
            [size],
            [10**30],
            None,
            3,
        ]
        entry["shape"] = rng.choice(shapes)
    elif kind == 2:
        a, b = (
            rng.choice([0, 1, 4, 8, size, size + 1, 2**63, -8]),
            rng.choice([0, 4, 8, size, size + 8, 2**64, 2**30]),
        )
        entry["data_offsets"] = rng.choice(
            [[a, b], [a], [b, a], [a, b, a], None, [0.0, 4.0], [True, 8], "0,8"]
        )
    elif kind == 3:
        entries[rng.choice(TEXTS)] = entries.pop(name)
    elif kind == 4:
        entries[f"{name}{rng.choice(TEXTS)}"] = dict(entry)
    elif kind == 5:
        del entries[name]
    else:
        entries[name] = _value(rng)


def _change(rng: Rng, tree: Any) -> None:
    """Another value, or none, somewhere in a nest of dicts and lists."""
    places = list(_places(tree))
    if not places:
        return
    *lead, last = rng.choice(places)
    for key in lead:
        tree = tree[key]
    old = tree[last]
    if isinstance(tree, dict) and rng.random() < 0.08:
        del tree[last]
        if rng.random() < 0.5:
            tree[rng.choice(TEXTS)] = old
    elif isinstance(old, list) and rng.random() < 0.4:
        tree[last] = rng.choice([old * 2, old[:-1], old[::-1], old * 1000, [*old, _value(rng)]])
    elif isinstance(old, str) and rng.random() < 0.6:
        tree[last] = rng.choice(TEXTS)
    elif isinstance(old, float) and rng.random() < 0.6:
        tree[last] = rng.choice([*FLOATS, old * 1e6, -old])
    elif isinstance(old, int) and rng.random() < 0.6:
        tree[last] = rng.choice([*NUMBERS, old + 1, old - 1])
    else:
        tree[last] = _value(rng)


def _places(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*at, key)
        yield from _places(value, (*at, key))


def _value(rng: Rng) -> Any:
    return rng.choice(
        [
            None,
            True,
            False,
            rng.choice(TEXTS),
            rng.choice(NUMBERS),
            rng.choice(FLOATS),
            [],
            {},
            [[]],
            [rng.choice(TEXTS)],
            {rng.choice(TEXTS): 1},
            rng.choice(list(RAW)),
            ["q"] * 10_000,
            {str(i): i for i in range(10_000)},
        ]
    )
