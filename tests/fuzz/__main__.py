"""``python -m tests.fuzz --minutes 60``: look for programs that compute one thing here and another there."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

from tests.fuzz.checks import KINDS, WAYS
from tests.fuzz.search import all_searches, search_for


def main() -> int:
    """Search until the time is over, print the least program of each find; 1 if there was one."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first search; the next one has the next")
    parser.add_argument("--kind", choices=[*KINDS, "network"], help="only this derivative, or only trainings")
    parser.add_argument("--way", choices=WAYS, help="only this way to run a program")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CHAINRULE_CACHE"] = folder
        found = search_for(
            given.minutes,
            given.seed,
            all_searches(given.kind, given.way),
            lambda text: print(text, flush=True),
        )
    print(found)
    return bool(found.finds)


if __name__ == "__main__":
    sys.exit(main())
