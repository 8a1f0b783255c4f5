"""Object code on disk: found again, rebuilt when damaged, bounded, switched off."""

import numpy as np
import pytest

from chainrule.compiler import cache, pipeline
from chainrule.compiler.host import host
from chainrule.compiler.program import Binary, Instance
from chainrule.graph import Node, new_leaf
from chainrule.ops import PRIMITIVES
from chainrule.ops.source import constant


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


# Keys: graphs that compute something else have other keys


def key(node, updates=(), strides=None):
    return pipeline.key_of([node], updates, strides or {}, host(), None)


def others_of(value):
    """Values that differ from a parameter in one thing."""
    if isinstance(value, bool):
        return [not value, int(value)]
    if isinstance(value, int):
        return [value + 1, float(value)]
    if isinstance(value, float):
        return [
            np.nextafter(value, np.inf).item(),
            -value if value else 1.0,
            int(value) if value == value // 1 else 0,
        ]
    if isinstance(value, str):
        return [value + "x"]
    if value is None:
        return [0, "None", False]
    if isinstance(value, np.dtype):
        return [np.dtype(np.float32 if value != np.float32 else np.float64)]
    if isinstance(value, np.ndarray):
        changed = value.copy()
        if value.size:
            changed.reshape(-1)[value.size // 2] += 1
        return (
            [changed, value.astype(np.float32 if value.dtype != np.float32 else np.float64)]
            if value.size
            else []
        )
    if isinstance(value, tuple | list):
        inner = [
            [*value[:i], other, *value[i + 1 :]] for i, item in enumerate(value) for other in others_of(item)
        ]
        return [type(value)(each) for each in [*inner, [*value, 1]]]
    if isinstance(value, slice):
        return [slice(0, 1, 1)]
    raise AssertionError(f"a parameter of a new kind: {value!r}")


class Same:
    """A primitive's node with other parameters; its form stays, so that nothing but the parameter can tell."""

    def __init__(self, node, params):
        self.op, self.inputs, self.params = node.op, node.inputs, params
        self.shape, self.dtype = node.shape, node.dtype


@pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=PRIMITIVES)
def test_every_parameter_of_every_record_is_part_of_the_key(primitive):
    pairs = 0
    for case in primitive.domain(np.random.default_rng(0)):
        inputs = tuple(new_leaf(np.shape(x), np.asarray(x).dtype) for x in case.inputs)
        node = Node(primitive, inputs, case.params)
        own = key(node)
        assert key(Node(primitive, inputs, dict(case.params))) == own
        for name, value in case.params.items():
            for other in others_of(value):
                pairs += 1
                assert key(Same(node, {**case.params, name: other})) != own, (name, value, other)
    assert pairs or not any(case.params for case in primitive.domain(np.random.default_rng(0)))


LARGE = np.zeros(5000)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LARGE, np.where(np.arange(5000) == 2500, 1e-12, LARGE)),  # printed alike, with dots
        (np.array(0.1), np.nextafter(np.array(0.1), 1)),
        (np.array(0.0), np.array(-0.0)),
        (np.array(1), np.array(1.0)),
        (np.array(1), np.array(True)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((0, 3)), np.zeros((3, 0))),
        (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(3, 2).T)),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("where", ["constant", "parameter"])
def test_values_that_look_alike_have_other_keys(one, other, where):
    if where == "parameter":
        assert pipeline.describe_param({"a": (one,)}) != pipeline.describe_param({"a": (other,)})
    else:
        keys = [key(Node(constant, (), {"value": x}, value=x)) for x in (one, other)]
        assert keys[0] != keys[1]


def test_the_key_tells_leaves_apart():
    x, y = new_leaf((3, 3), np.float64), new_leaf((3, 3), np.float64)
    graphs = {
        "x - y": key(x - y),
        "y - x has the same form": key(y - x),
        "x - x": key(x - x),
        "float32": key(new_leaf((3, 3), np.float32) - new_leaf((3, 3), np.float32)),
        "x updated": key(x - y, [(x, y * 2.0)]),
        "y updated": key(x - y, [(y, y * 2.0)]),
        "x transposed": key(x - y, strides={x: (1, 3)}),
        "y transposed": key(x - y, strides={y: (1, 3)}),
    }
    assert graphs["x - y"] == graphs["y - x has the same form"]
    del graphs["y - x has the same form"]
    assert len(set(graphs.values())) == len(graphs)


def test_a_parameter_that_no_key_can_be_made_of_is_refused():
    with pytest.raises(TypeError, match="no key"):
        pipeline.describe_param({"f": object()})


def test_the_digest_covers_all_that_decides_the_code(monkeypatch, tmp_path):
    """Whatever the compiler imports of this package, but for what only writes files and messages."""
    import ast
    import shutil
    from pathlib import Path

    package = Path(pipeline.__file__).parent.parent
    covered = [
        file for name in pipeline.DECIDES for file in [package / name, *(package / name).rglob("*.py")]
    ]
    aside = {"errors", "files", "_version", "__init__"}
    for file in covered:
        for node in ast.walk(ast.parse(file.read_text())) if file.suffix == ".py" else ():
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top, _, rest = name.partition(".")
                if top == "chainrule" and rest.partition(".")[0] not in aside:
                    first = rest.partition(".")[0]
                    assert first in pipeline.DECIDES or f"{first}.py" in pipeline.DECIDES, (file, name)

    copy = tmp_path / "chainrule"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(pipeline, "__file__", str(copy / "compiler" / "pipeline.py"))
    before = pipeline._sources.__wrapped__()
    assert before == pipeline._sources()
    for name in (
        "ops/random.py",
        "ops/elementwise.py",
        "compiler/matmul/tiles.py",
        "graph.py",
        "interpret.py",
    ):
        (copy / name).write_text((copy / name).read_text() + "# another\n")
        now = pipeline._sources.__wrapped__()
        assert now != before, name
        before = now


@pytest.mark.parametrize("module", ["numpy", "llvmlite"])
def test_other_versions_have_other_keys(module, monkeypatch):
    x = new_leaf((3,), np.float64)
    before = key(x * 2.0)
    monkeypatch.setattr(f"{module}.__version__", "0.0.0")
    assert key(x * 2.0) != before
