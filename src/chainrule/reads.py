"""What a Python function reads besides its arguments, as its byte code says: names of globals and attributes.

``guards.py`` looks these names up and watches what they stand for.
"""

from __future__ import annotations

import dis
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import CodeType, ModuleType

import numpy as np

from chainrule.errors import PACKAGE

_STANDARD = tuple({sysconfig.get_path("stdlib") + "/", sysconfig.get_path("platstdlib") + "/"})
_INSTALLED = ("site-packages", "dist-packages")
#: installed libraries whose code is taken as fixed; their objects are watched all the same
_LIBRARIES = {
    "numpy",
    "scipy",
    "pandas",
    "polars",
    "sklearn",
    "torch",
    "matplotlib",
    "joblib",
    "tqdm",
    "rich",
}
_LIBRARIES |= {"IPython", "ipykernel", "pytest", "_pytest"}
#: with one of these, any attribute may be read
_ANY_ATTRIBUTE = {
    "getattr",
    "hasattr",
    "vars",
    "attrgetter",
    "asdict",
    "astuple",
    "__dict__",
    "__getattribute__",
}
#: through these a function reads what nobody can watch: built-in functions, modules, names in NumPy, other names
_WORLD = {"open", "input", "eval", "exec", "globals", "locals", "__import__"}
_WORLD_MODULES = {
    "time",
    "datetime",
    "secrets",
    "uuid",
    "importlib",
    "inspect",
    "io",
    "json",
    "pickle",
    "csv",
}
_WORLD_MODULES |= {"sqlite3", "socket", "subprocess", "urllib"}
_NUMPY_READS = {"loadtxt", "genfromtxt", "fromfile", "memmap", "datetime64", "default_rng", "SeedSequence"}
_NUMPY_READS |= {"PCG64", "MT19937", "Philox", "SFC64", "RandomState"}
_NAMES = {
    "open",
    "load",
    "read",
    "readline",
    "read_text",
    "read_bytes",
    "read_csv",
    "read_parquet",
    "listdir",
}
_NAMES |= {"getcwd", "stat", "urandom", "getrandom", "SystemRandom", "modules", "_getframe"}
_ENVIRONMENT = {"environ", "getenv"}


@dataclass(frozen=True)
class Reads:
    """The names that a function and those defined in it load."""

    globals: frozenset[str]
    attributes: frozenset[str]
    modules: frozenset[str]  # that it imports itself

    @property
    def any_attribute(self) -> bool:
        """Whether it may read attributes whose names do not stand in it."""
        return bool(_ANY_ATTRIBUTE & (self.globals | self.attributes))

    @property
    def environment(self) -> bool:
        """Whether it may read environment variables."""
        return bool(_ENVIRONMENT & (self.globals | self.attributes))

    def world(self, found: dict[str, object]) -> str:
        """What it may read that cannot be watched, such as the clock or a file; "" where there is nothing.

        ``found`` has the values of its globals.
        """
        for name in sorted(self.globals):
            value = found.get(name)
            if value is None and name in _WORLD:
                return name
            origin = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(origin, str) and origin.partition(".")[0] in _WORLD_MODULES:
                return name
        imported = _WORLD_MODULES & {name.partition(".")[0] for name in self.modules}
        if imported:
            return min(imported)
        system = _NAMES & (self.attributes | self.globals)
        if system:
            return min(system)
        reads = _NUMPY_READS & (self.attributes | self.globals)
        numpy = any(value is np or value is sys.modules.get("numpy.random") for value in found.values())
        return f"numpy's {min(reads)}" if reads and (numpy or reads & self.globals) else ""


@lru_cache(4096)
def reads_of(code: CodeType) -> Reads:
    """The names that this code loads, with those of the functions defined in it."""
    names: set[str] = set()
    attributes: set[str] = set()
    modules: set[str] = set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            names.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"):
            attributes.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            modules.add(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found = reads_of(inner)
            names |= found.globals
            attributes |= found.attributes
            modules |= found.modules
    return Reads(frozenset(names), frozenset(attributes), frozenset(modules))


@lru_cache(4096)
def is_users(file: str) -> bool:
    """Whether code of this file may read what changes: not this package, Python's, NumPy's or SciPy's own."""
    if file.startswith((PACKAGE, "<frozen ")):
        return False
    parts = Path(file).parts
    for folder in _INSTALLED:
        if folder in parts:
            rest = parts[parts.index(folder) + 1 :]
            return not rest or rest[0] not in _LIBRARIES
    return not file.startswith(_STANDARD)


def is_users_module(module: ModuleType | None) -> bool:
    """The same for a module; one without a file is a session's or a notebook's, unless it is built in."""
    if module is None:
        return True
    name = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None)
    return name not in sys.builtin_module_names if file is None else is_users(file)


def is_users_class(kind: type) -> bool:
    """The same for a class: by the module that it was defined in."""
    return is_python_class(kind) and is_users_module(sys.modules.get(kind.__module__))


def is_python_class(kind: type) -> bool:
    """Whether a class was defined by a class statement, not in C."""
    heap_type, module = 1 << 9, sys.modules.get(kind.__module__)
    if not kind.__flags__ & heap_type:
        return False
    file = getattr(module, "__file__", None)
    if file is None:
        return module is None or module.__name__ not in sys.builtin_module_names
    return not file.endswith(tuple(EXTENSION_SUFFIXES))
