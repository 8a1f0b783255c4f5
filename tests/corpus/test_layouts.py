"""Files of random layouts with fixed seeds; ``python -m tests.corpus.layouts --minutes 5`` tries others."""

import random

import pytest
from tests.corpus.layouts import outcome, write
from tests.thorough import first_ones

SEEDS = 60


@pytest.mark.parametrize("start", first_ones(range(0, 600, SEEDS), 2))
def test_no_table_is_silently_another_one(tmp_path, start):
    found = [outcome(write(random.Random(seed)), tmp_path) for seed in range(start, start + SEEDS)]
    wrong = [(start + place, why) for place, (kind, why) in enumerate(found) if kind == "wrong"]
    assert not wrong
    assert sum(kind == "read" for kind, _ in found) > 0.9 * SEEDS
