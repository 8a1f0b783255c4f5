"""Searching for a failure: each search runs in a process of its own, for a wrong address ends more than a test."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.fuzz.checks import KINDS, WAYS, MismatchError, check_program
from tests.fuzz.networks import Network, check_network, networks
from tests.fuzz.programs import NUMBERS, Choices, build, choices

PROGRAMS, NETWORKS = 400, 25  # of one search

#: what a search draws: choices of a program with what is asked of it and how it runs; or a network
Case = tuple[Choices, str, str] | Network


@dataclass
class Tally:
    """What was run so far."""

    programs: int = 0
    networks: int = 0
    lines: int = 0
    finds: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        length = self.lines / max(self.programs, 1)
        return (
            f"{self.programs} programs ({length:.1f} lines on average) and {self.networks} networks, "
            f"{len(self.finds)} finds"
        )


def program_cases(kind: str | None = None, way: str | None = None) -> st.SearchStrategy[Case]:
    """A program, a derivative and a way to run it."""
    kinds = [kind] if kind else ["value", *KINDS]  # of values all outputs are seen, of derivatives their sum
    ways = [way] if way else WAYS
    return st.tuples(choices(NUMBERS), st.sampled_from(kinds), st.sampled_from(ways))


def run_case(case: Case, tally: Tally) -> str:
    """Check one case. What it raises is a find. Returns nothing to say."""
    if isinstance(case, Network):
        tally.networks += 1
        check_network(case)
        return ""
    drawn, kind, way = case
    program = build(drawn)
    if program is not None:
        tally.programs += 1
        tally.lines += len(program.lines)
        check_program(program, "value" if drawn.numbers == "special" else kind, way)
    return ""


def text_of(case: Case) -> str:
    """A case as a person reads it."""
    if isinstance(case, Network):
        return f"# trained\n{case}"
    drawn, kind, way = case
    return f"# {kind}, run by: {way}\n{build(drawn)}"


def search(
    cases: st.SearchStrategy[Case], number: int, count: int, tally: Tally, *, apart: bool = False
) -> None:
    """One search in this process: raises what the least case raises, with its text as a note.

    With ``apart`` each case runs in a process of its own, so that one that ends it can be made smaller too.
    """
    run = _apart if apart else run_case

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in settings.default.phases if phase in (Phase.generate, Phase.shrink)],
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(cases)
    def all_agree(case: Case) -> None:
        try:
            run(case, tally)
        except Exception as error:
            error.__notes__ = [text_of(case)]
            raise

    all_agree()


def _apart(case: Case, tally: Tally) -> None:
    """One case in a child; what it raises there is raised here."""
    status, message = _in_child(partial(run_case, case, tally))
    if status:
        raise MismatchError(message or f"the process ended with status {status}")


def _in_child(work: Callable[[], str]) -> tuple[int, str]:
    """What a child process returns, or why it failed: its exit status, 0 where all went well, and its text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result"
        child = os.fork()
        if not child:
            status = 1
            try:
                path.write_text(work())
                status = 0
            except BaseException as error:
                program = next(iter(getattr(error, "__notes__", [])), "")
                error.__notes__ = []
                path.write_text(f"{program}\n{''.join(traceback.format_exception(error, limit=-3))}")
            finally:
                sys.stdout.flush()
                os._exit(status)
        _, code = os.waitpid(child, 0)
        return code, path.read_text() if path.exists() else ""


def search_for(
    minutes: float,
    first_seed: int,
    searches: list[tuple[st.SearchStrategy[Case], int]],
    say: Callable[[str], None],
) -> Tally:
    """One search after the other, each kind in turn, until the time is over."""
    total, end, number = Tally(), time.monotonic() + 60 * minutes, first_seed
    while time.monotonic() < end:
        cases, count = searches[number % len(searches)]
        status, text = _in_child(partial(_tallied, cases, number, count))
        if os.WIFSIGNALED(status):  # a crash: once more, so that the least case is found
            status, text = _in_child(partial(_tallied, cases, number, count, apart=True))
        if status:
            total.finds.append(text)
            say(f"== find {len(total.finds)}, seed {number}\n{text}")
        else:
            programs, networks_run, lines = map(int, text.split())
            total.programs += programs
            total.networks += networks_run
            total.lines += lines
        number += 1
    return total


def _tallied(cases: st.SearchStrategy[Case], number: int, count: int, *, apart: bool = False) -> str:
    """One search, and what it ran as text."""
    tally = Tally()
    search(cases, number, count, tally, apart=apart)
    return f"{tally.programs} {tally.networks} {tally.lines}"


def all_searches(
    kind: str | None = None, way: str | None = None
) -> list[tuple[st.SearchStrategy[Case], int]]:
    """What ``python -m tests.fuzz`` searches through."""
    if kind == "network":
        return [(networks(), NETWORKS)]
    programs = (program_cases(kind, way), PROGRAMS)
    return [programs] if kind or way else [programs, programs, programs, (networks(), NETWORKS)]
