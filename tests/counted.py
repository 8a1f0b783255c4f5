"""Work counted in calls of functions, which neither the machine nor what else it does changes."""

import sys
from collections.abc import Callable


def calls(work: Callable[[], object]) -> int:
    """How many functions this thread calls while it does the work, Python's own included."""
    count = 0

    def seen(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
