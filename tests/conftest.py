"""For all tests: machine code is cached in a folder of the session's own, and every pass of the compiler is checked."""

import gc

import pytest


def pytest_collection_finish() -> None:
    """Keep the garbage collector off the tests themselves: a full collection went through all 17,000 of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("CHAINRULE_VERIFY", "1")
        yield
