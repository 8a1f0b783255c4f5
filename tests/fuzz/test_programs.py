"""Random programs and networks: whatever runs them computes the same. ``python -m tests.fuzz`` looks further."""

import pytest
from tests.fuzz.checks import KINDS, WAYS, check_program
from tests.fuzz.kept import KEPT
from tests.fuzz.networks import networks
from tests.fuzz.programs import PREAMBLE, Text
from tests.fuzz.search import Tally, program_cases, search

SEARCHES, PROGRAMS, NETWORKS = 10, 100, 6  # of each search
NUMBERS = [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, SEARCHES))]


@pytest.mark.parametrize("number", NUMBERS)
def test_random_programs(number):
    tally = Tally()
    search(program_cases(), number, PROGRAMS, tally)
    assert tally.programs > 0.8 * PROGRAMS  # of all that are drawn, few may have no line that means something


@pytest.mark.parametrize("number", NUMBERS)
def test_random_networks(number):
    search(networks(), number, NETWORKS, Tally())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", KEPT)
def test_programs_that_once_failed(name, kind, way):
    check_program(Text(PREAMBLE + KEPT[name]), kind, way)
