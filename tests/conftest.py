"""For all tests: machine code is cached in a folder of the session's own, and every pass of the compiler is checked."""

import functools
import gc
import os

import pytest
import typer.main
from tests.thorough import mark_in_turn


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_in_turn(items)


def pytest_collection_finish() -> None:
    """Keep the garbage collector off the tests themselves: a full collection went through all 17,000 of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_command_line():
    """Typer makes its parsers of all options anew at each call of ``main``, which takes 40 ms; once will do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    # workers of one session share it, so that what one has compiled another one need not
    cache = base.parent / "cache" if "PYTEST_XDIST_WORKER" in os.environ else base / "cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CACHE", str(cache))
        patch.setenv("CHAINRULE_VERIFY", "1")
        yield
