"""Every public class, and instances of it: those that the example in its docstring makes."""

from __future__ import annotations

import doctest
import functools
import importlib
import inspect
import io
import pkgutil
import sys
from typing import Any

import pytest

import chainrule as cr
from chainrule import errors, files


def public_names() -> dict[str, Any]:
    """Everything that some room of the package exports, by dotted name."""
    found: dict[str, Any] = {}
    for room in pkgutil.walk_packages(cr.__path__, "chainrule."):
        module = importlib.import_module(room.name) if not room.name.endswith("__main__") else cr
        for name in getattr(module, "__all__", ()) if ".compiler" not in room.name else ():
            found[f"{module.__name__}.{name}"] = getattr(module, name)
    found |= {f"chainrule.{name}": getattr(cr, name) for name in cr.__all__}
    for module in (errors, files):
        found |= {f"{module.__name__}.{n}": v for n, v in vars(module).items() if _of_ours(v, module)}
    return found


def _of_ours(value: Any, module: Any = None) -> bool:
    home = "chainrule" if module is None else module.__name__
    return inspect.isclass(value) and value.__module__.startswith(home)


def public_classes() -> list[type[Any]]:
    """Each public class once."""
    return list(dict.fromkeys(v for v in public_names().values() if _of_ours(v)))


def instances(cls: type[Any]) -> list[Any]:
    """All instances that the docstring's example makes, as they are when it has ended; errors as they were raised."""
    made: list[Any] = []
    begin = cls.__init__

    @functools.wraps(begin)
    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        if type(self) is cls and not any(self is one for one in made):
            made.append(self)

    test = doctest.DocTestParser().get_doctest(
        cls.__doc__ or "", dict(vars(sys.modules[cls.__module__])), cls.__name__, None, 0
    )
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "__init__", noted)
        doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(
            test, out=said.write, clear_globs=False
        )
    assert not said.getvalue(), said.getvalue()
    return made
