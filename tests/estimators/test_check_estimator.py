"""scikit-learn's conventions, by its own checks; one is expected to fail, of the estimators for raw tables."""

import warnings

import pytest
from sklearn.utils.estimator_checks import check_estimator
from tests.thorough import slow

from chainrule import estimators

#: skipped by scikit-learn itself for its own estimators of the kind: what they do not have
NOT_THERE = {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}

#: small networks, enough for the scores that the checks ask for; by their defaults they pass as well, in minutes
TABLES = {"hidden": 16, "folds": 2, "epochs": 40, "embedding": "none", "dropout": 0.0, "lr": 0.02}
#: rows of weight 0 are left out, to the bit (test_table.py), but a row that comes twice is not one of weight 2: the two
#: can be in different folds and minibatches, and the settings follow from the number of rows
REPEATED = {"check_sample_weight_equivalence_on_dense_data": "rows are dealt into folds and minibatches"}


@pytest.mark.parametrize(
    "name", [name if name == "MLPRegressor" else slow(name) for name in estimators.__all__]
)
def test_check_estimator(name):
    settings, expected = (TABLES, REPEATED) if name.startswith("Table") else ({}, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows that the checks make too few, and epochs
        results = check_estimator(
            getattr(estimators, name)(**settings), on_fail=None, on_skip=None, expected_failed_checks=expected
        )
    wrong = {
        r["check_name"]: r["exception"] for r in results if r["status"] not in ("passed", "skipped", "xfail")
    }
    assert not wrong
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(expected)
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= NOT_THERE
    assert len(results) > 50
