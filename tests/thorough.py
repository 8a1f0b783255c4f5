"""Tests in two sizes: a short one that always runs, and the whole, which is marked ``slow``.

Both come from one function, so that what is checked is written once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis.strategies import SearchStrategy


def slow(*values: object) -> Any:
    """One case of ``pytest.mark.parametrize`` that is marked ``slow``."""
    return pytest.param(*values, marks=pytest.mark.slow)


def first_ones(values: Iterable[object], keep: int = 1) -> list[Any]:
    """Cases of one parameter, of which the first ``keep`` always run and the others are marked ``slow``."""
    return [
        value if place < keep else slow(*value) if isinstance(value, tuple) else slow(value)
        for place, value in enumerate(values)
    ]


def generated(few: int, all_: int, *strategies: SearchStrategy[Any], **settings: Any) -> Callable[..., Any]:
    """A property as a test of ``few`` examples, and as a slow one of ``all_``.

    ``strategies`` are those of ``given``, ``settings`` those of Hypothesis. The property takes no fixtures.
    """

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.parametrize("examples", [few, slow(all_)])
        def test(examples: int) -> None:
            hypothesis_settings(max_examples=examples, deadline=None, **settings)(given(*strategies)(check))()

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
        test.__module__ = check.__module__
        return test

    return decorate


#: tests of many cases that are alike, and how many of these in a row have one that always runs; the others are slow
IN_TURN = {
    "tests/cli/test_columns.py::test_what_counts_as_missing_and_where": 2,
    "tests/cli/test_interrupts.py::test_a_disk_without_room_for_what_is_printed": 3,
    "tests/cli/test_train.py::test_a_run_with_another_option_is_told_which_it_is": 4,
    "tests/compiler/test_programs.py::test_every_record_compiles": 2,
    "tests/estimators/test_against_sklearn.py::test_classifier": 3,
    "tests/estimators/test_divergence.py::test_a_regressor_that_diverges_warns_or_raises": 5,
    "tests/estimators/test_epochs_at_once.py::test_the_same_bits": 3,
    "tests/estimators/test_extremes.py::test_many_classes_take_no_column_for_each_row_and_class": 4,
    "tests/estimators/test_extremes.py::test_weights_of_any_size_teach_what_their_ratios_do": 5,
    "tests/estimators/test_replicas_are_single_runs.py::test_replica_0_of_a_classifier": 3,
    "tests/estimators/test_scoring_and_interrupts.py::test_ctrl_c_keeps_what_is_trained": 5,
    "tests/estimators/test_sklearn_own_tests.py::test_lbfgs_classification": 2,
    "tests/estimators/test_sklearn_own_tests.py::test_lbfgs_classification_maxfun": 2,
    "tests/estimators/test_sparse.py::test_fit_takes_a_sparse_matrix": 5,
    "tests/survival/test_foreign_texts.py::test_foreign_texts_in_files_stay_text": 3,
    "tests/training/test_answered.py::test_every_saved_state_ends_as_the_run_itself": 5,
    "tests/travel/test_estimators.py::test_estimators_predict_and_learn_on": 5,
}


def mark_in_turn(items: Iterable[pytest.Item]) -> None:
    """Mark as ``slow`` the cases of the tests of ``IN_TURN`` that do not always run."""
    seen: Counter[str] = Counter()
    for item in items:
        name = item.nodeid.partition("[")[0]
        if name in IN_TURN:
            if seen[name] % IN_TURN[name]:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1
