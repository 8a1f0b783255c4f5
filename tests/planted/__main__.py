"""``python -m tests.planted [NAME ...]``: show that each planted fault is caught by the tests, and by which."""

from __future__ import annotations

import argparse
import sys

from tests.planted.run import TESTS, Verdict, patches, run_all, untouched


def main() -> int:
    """Plant the faults that are named, or all; print a table; 1 if one survives or the tests fail without any."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of patches; all without one")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="what may catch them, in this order")
    parser.add_argument("--at-once", type=int, default=2, help="faults that are tried side by side")
    parser.add_argument(
        "--skip-check", action="store_true", help="do not run the tests without a fault first"
    )
    given = parser.parse_args()
    faults = [fault for fault in patches() if not given.names or fault.name in given.names]
    unknown = {*given.names} - {fault.name for fault in faults}
    if unknown:
        parser.error(f"no such patch: {', '.join(sorted(unknown))}")
    if not given.skip_check:
        sound = untouched(given.tests)
        if sound.caught_by:
            print(f"the tests fail without a fault: {sound.caught_by}\n{sound.output}")
            return 1
        print(f"without a fault all tests pass ({sound.seconds:.0f} s)", flush=True)
    verdicts = run_all(faults, given.tests, given.at_once, lambda verdict: print(row(verdict), flush=True))
    survivors = [verdict.name for verdict in verdicts if not verdict.caught_by]
    caught = len(verdicts) - len(survivors)
    print(f"\n{caught} of {len(verdicts)} caught" + (f"; not: {', '.join(survivors)}" if survivors else ""))
    return bool(survivors)


def row(verdict: Verdict) -> str:
    """A line of the table."""
    caught = verdict.caught_by or "NOT CAUGHT"
    return f"{verdict.name:42} {verdict.kind:16} {verdict.seconds:5.0f} s  {caught}"


if __name__ == "__main__":
    sys.exit(main())
