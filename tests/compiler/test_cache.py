"""Object code on disk: found again, rebuilt when damaged, bounded, switched off."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule.compiler import cache, pipeline
from chainrule.compiler.host import host
from chainrule.compiler.program import Binary, Instance
from chainrule.graph import Node, new_leaf
from chainrule.ops import PRIMITIVES
from chainrule.ops.source import constant


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of the cache's own, inside the one that the user names."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "code"))
    return tmp_path / "code" / cache.FOLDER


def program(scale=2.0):
    x = new_leaf((5, 3), np.float32, "x")
    return Instance(Binary([x], [x * scale + np.arange(3, dtype=np.float32)]))


DATA = np.ones((5, 3), np.float32)
EXPECTED = DATA * 2 + np.arange(3, dtype=np.float32)
KEYS = [hashlib.sha256(bytes([i])).hexdigest() for i in range(20)]


def test_the_second_time_the_code_is_read(place, monkeypatch):
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)
    assert len(list(place.iterdir())) == 1
    monkeypatch.setattr("chainrule.compiler.program.assemble_all", None)  # nothing is compiled any more
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)


def test_another_graph_has_another_key(place):
    program(2.0)
    np.testing.assert_array_equal(program(3.0)(DATA)[0], EXPECTED + 1)
    assert len(list(place.iterdir())) == 2


def damages(whole):
    rng = np.random.default_rng(0)
    yield from (b"", b"short", whole[:-1], whole + b"\0", bytes(len(whole)), whole[32:], whole[::-1])
    for place in rng.integers(0, len(whole), 40).tolist():  # one bit, anywhere
        yield whole[:place] + bytes([whole[place] ^ (1 << int(rng.integers(8)))]) + whole[place + 1 :]
    for place in rng.integers(0, len(whole), 10).tolist():
        yield whole[:place]
        yield whole[:place] + rng.bytes(len(whole) - place)


def test_a_damaged_entry_is_rebuilt(place):
    program()
    (entry,) = place.iterdir()
    whole = entry.read_bytes()
    key = entry.stem
    for damage in damages(whole):
        entry.write_bytes(damage)
        assert cache.load(key) is None
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)
    assert entry.read_bytes() == whole


def test_code_of_another_key_is_not_used(place):
    """A whole file, but not of this graph: run, it would compute something else, or write where nothing is."""
    program(3.0)
    (other,) = place.iterdir()
    program(2.0)
    (own,) = set(place.iterdir()) - {other}
    own.write_bytes(other.read_bytes())
    np.testing.assert_array_equal(program(2.0)(DATA)[0], EXPECTED)


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false", "False", "none", "no", " off", "off\n"])
def test_it_can_be_switched_off(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAINRULE_CACHE", word)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("named", ["~/code", "", " "])
def test_the_home_is_found(tmp_path, monkeypatch, named):
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.setenv("CHAINRULE_CACHE", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    expected = tmp_path / "code" if named.strip() else tmp_path / ".cache" / "chainrule"
    assert cache.folder() == expected / cache.FOLDER


@pytest.mark.parametrize("named", ["~/code", ""])
def test_a_user_without_a_home_has_no_cache(monkeypatch, named):
    def nowhere(path=None):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("CHAINRULE_CACHE", named)
    monkeypatch.setattr(cache.Path, "home", nowhere)
    monkeypatch.setattr(cache.Path, "expanduser", nowhere)
    assert cache.folder() is None
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)


def test_a_folder_that_cannot_be_written_is_done_without(place):
    place.parent.write_text("a file is in the way")
    np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)


def test_the_least_recently_used_goes_first(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT_BYTES", 2500)
    for i, key in enumerate(KEYS[:4]):
        cache.store(key, bytes(1000))
        os.utime(place / f"{key}.code", (i, i))
    assert cache.load(KEYS[0]) is None
    assert cache.load(KEYS[3]) == bytes(1000)
    assert sum(path.stat().st_size for path in place.iterdir()) <= 2500


def test_nothing_but_its_own_files_is_counted_or_deleted(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT_BYTES", 2500)
    cache.store(KEYS[0], b"")
    key, others = KEYS[1], []
    for folder in (place.parent, place):
        others += [folder / name for name in ("data.bin", f"{key}.txt", f"{key[1:]}.code", f"{key}0.code")]
    others += [place.parent / f"{key}.code", place / f"{key}.code.d", place / key]
    for other in others:
        other.write_bytes(bytes(5000))
        os.utime(other, (1, 1))
    (place / f"{key}.code").mkdir()
    for i in (2, 3):
        cache.store(KEYS[i], bytes(1000))
    assert all(other.stat().st_size == 5000 for other in others) and (place / f"{key}.code").is_dir()
    assert cache.load(KEYS[2]) == cache.load(KEYS[3]) == bytes(1000)  # the others do not use up the limit


def test_what_a_killed_process_was_writing_is_removed(place):
    cache.store(KEYS[0], b"")
    old, new = (place / f"{KEYS[1]}.code.{digit * 12}.tmp" for digit in "01")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.store(KEYS[2], b"")
    assert not old.exists() and new.exists()


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_only_the_user_may_read_or_write_it(place, mask):
    before = os.umask(mask)
    try:
        program()
    finally:
        os.umask(before)
    (entry,) = place.iterdir()
    assert [oct(path.stat().st_mode & 0o777) for path in (place, entry)] == ["0o700", "0o600"]


def by_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def by_pipe(path):
    path.unlink()
    os.mkfifo(path, 0o600)


FOLDERS = {"group": lambda path: path.chmod(0o770), "all": lambda path: path.chmod(0o1777), "link": by_link}
FILES = {
    "group": lambda path: path.chmod(0o620),
    "all": lambda path: path.chmod(0o602),
    "link": by_link,
    "pipe": by_pipe,
}


@pytest.mark.parametrize("change", FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_others_may_write_to_is_not_used(place, change):
    cache.store(KEYS[0], b"one")
    change(place)
    with pytest.warns(RuntimeWarning, match="CHAINRULE_CACHE") as caught:
        assert cache.load(KEYS[0]) is None
        cache.store(KEYS[1], b"two")
        np.testing.assert_array_equal(program()(DATA)[0], EXPECTED)
    assert len(caught) == 1 and str(place) in str(caught[0].message)
    assert sum(path.suffix == ".code" for path in place.iterdir()) == 1


@pytest.mark.parametrize("change", FILES.values(), ids=FILES)
def test_a_file_that_others_may_write_to_is_not_used(place, change):
    cache.store(KEYS[0], b"one")
    change(place / f"{KEYS[0]}.code")
    with pytest.warns(RuntimeWarning, match="machine code is not kept") as caught:
        assert cache.load(KEYS[0]) is None
        assert cache.load(KEYS[0]) is None
    assert len(caught) == 1
    cache.store(KEYS[0], b"new")
    assert cache.load(KEYS[0]) == b"new"


def test_what_belongs_to_another_user_is_not_used(place, monkeypatch):
    cache.store(KEYS[0], b"one")
    entry = place / f"{KEYS[0]}.code"
    user = os.geteuid()
    monkeypatch.setattr(cache.os, "geteuid", lambda: user + 1)
    with pytest.warns(RuntimeWarning, match="another user"):
        assert cache.load(KEYS[0]) is None
    with pytest.warns(RuntimeWarning, match="another user"), pytest.raises(PermissionError):
        cache._check(entry, entry.stat())
    cache.store(KEYS[1], b"two")
    assert list(place.iterdir()) == [entry]


def test_processes_share_a_folder(place, tmp_path):
    """They write, read and delete the same files at the same time; what is read is right or not there."""
    script = """
import random, sys
from chainrule.compiler import cache
cache.LIMIT_BYTES = 30_000
rng, found = random.Random(sys.argv[1]), 0
for _ in range(400):
    number = rng.randrange(20)
    key = f"{number:064x}"
    if rng.random() < 0.5:
        cache.store(key, key.encode() * (10 + number))
    else:
        content = cache.load(key)
        assert content in (None, key.encode() * (10 + number))
        found += content is not None
print(found)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(chainrule.__file__).parent.parent)}
    command = [sys.executable, "-W", "error", "-c", script]
    processes = [
        subprocess.Popen(
            [*command, str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for i in range(4)
    ]
    for process in processes:
        out, error = process.communicate(timeout=600)
        assert process.returncode == 0 and int(out) > 20, error
    assert all(path.suffix == ".code" for path in place.iterdir())
    assert sum(path.stat().st_size for path in place.iterdir()) <= 30_000 + 4 * 2100


def test_another_lowering_makes_other_code(place, tmp_path):
    """End to end, for a copy of the package in which relu gives 7."""
    sources = tmp_path / "sources"
    shutil.copytree(
        Path(chainrule.__file__).parent, sources / "chainrule", ignore=shutil.ignore_patterns("__pycache__")
    )
    script = "import numpy as np, chainrule as cr; print(cr.compile(cr.relu)(np.ones(3)).numpy().tolist())"

    def answer():
        environment = {**os.environ, "PYTHONPATH": str(sources)}
        done = subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment
        )
        return done.stdout.strip()

    assert [answer(), answer()] == ["[1.0, 1.0, 1.0]"] * 2
    assert len(list(place.iterdir())) == 1
    lowerings = sources / "chainrule" / "ops" / "instructions.py"
    before = lowerings.read_text()
    lowerings.write_text(before + "\n\ndef relu(f, node, x):\n    return f.const(7.0, x.type)\n")
    assert answer() == "[7.0, 7.0, 7.0]"


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
    aside = {"errors", "files", "system", "_version", "__init__"}
    for file in covered:
        tree = ast.parse(file.read_text() if file.suffix == ".py" else "")
        typing = [
            n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"
        ]
        for_types = {inner for branch in typing for inner in ast.walk(branch)}
        for node in set(ast.walk(tree)) - for_types:
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
    before = pipeline.sources.__wrapped__()
    assert before == pipeline.sources()
    for name in (
        "ops/random.py",
        "ops/elementwise.py",
        "compiler/codegen/matmul/tiles.py",
        "graph.py",
        "interpret.py",
    ):
        (copy / name).write_text((copy / name).read_text() + "# another\n")
        now = pipeline.sources.__wrapped__()
        assert now != before, name
        before = now


@pytest.mark.parametrize("module", ["numpy", "llvmlite"])
def test_other_versions_have_other_keys(module, monkeypatch):
    x = new_leaf((3,), np.float64)
    before = key(x * 2.0)
    monkeypatch.setattr(f"{module}.__version__", "0.0.0")
    assert key(x * 2.0) != before
