"""Public tables as their makers left them train with nothing said but the target, and predict themselves.

They are files that statsmodels and vega_datasets bring, in a dozen layouts, and the bundled ones of scikit-learn. The
task is what a person would say of the target.
"""

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.thorough import first_ones

from chainrule.data.tables import read_table

CLASSES, NUMBERS = "classification", "regression"
STATSMODELS = [
    ("anes96/anes96.csv", "vote", CLASSES),  # tabs, names in single quotes
    ("cancer/cancer.csv", "cancer", NUMBERS),
    ("ccard/ccard.csv", "AVGEXP", NUMBERS),
    ("china_smoking/china_smoking.csv", "smoking_yes_cancer_yes", NUMBERS),  # 8 rows
    ("co2/co2.csv", "co2", NUMBERS),  # dates such as 19580329, gaps in the target
    ("committee/committee.csv", "BILLS104", NUMBERS),
    ("copper/copper.csv", "COPPERPRICE", NUMBERS),
    ("cpunish/cpunish.csv", "EXECUTIONS", NUMBERS),
    ("danish_data/data.csv", "lrm", NUMBERS),  # a byte order mark, quarters such as 1974Q1
    ("elec_equip/elec_equip.csv", "STS.M.I7.W.TOVT.NS0016.4.000", NUMBERS),  # dates such as Jan-1-1995
    ("elnino/elnino.csv", "DEC", NUMBERS),  # three digits behind every point
    ("engel/engel.csv", "foodexp", NUMBERS),
    ("fair/fair.csv", "affairs", NUMBERS),
    ("fair/fair_pt.csv", "sex", CLASSES),
    ("fertility/fertility.csv", "2010", NUMBERS),  # years as names of columns
    ("grunfeld/grunfeld.csv", "invest", NUMBERS),
    ("heart/heart.csv", "survival", NUMBERS),
    ("interest_inflation/E6.csv", "R", NUMBERS),
    ("interest_inflation/E6_jmulti.csv", "2", NUMBERS),  # spaces, no header: the second column
    ("longley/longley.csv", "TOTEMP", NUMBERS),  # 16 rows
    ("macrodata/macrodata.csv", "realgdp", NUMBERS),
    ("modechoice/modechoice.csv", "choice", CLASSES),  # semicolons
    ("nile/nile.csv", "volume", NUMBERS),
    ("randhie/randhie.csv", "mdvis", NUMBERS),
    ("scotland/scotvote.csv", "YES", NUMBERS),
    ("spector/spector.csv", "GRADE", CLASSES),  # spaces, names in single quotes
    ("stackloss/stackloss.csv", "STACKLOSS", NUMBERS),
    ("star98/star98.csv", "MATHTOT", NUMBERS),
    ("statecrime/statecrime.csv", "murder", NUMBERS),
    ("strikes/strikes.csv", "duration", NUMBERS),  # spaces behind the commas
    ("sunspots/sunspots.csv", "SUNACTIVITY", NUMBERS),
]
VEGA = [
    ("airports.csv", "state", CLASSES),  # 57 of them
    ("anscombe.json", "Y", NUMBERS),
    ("barley.json", "yield", NUMBERS),
    ("burtin.json", "Gram_Staining", CLASSES),
    ("cars.json", "Origin", CLASSES),
    ("crimea.json", "disease", NUMBERS),
    ("driving.json", "gas", NUMBERS),
    ("iowa-electricity.csv", "source", CLASSES),
    ("iris.json", "species", CLASSES),
    ("la-riots.csv", "gender", CLASSES),  # names, addresses, dates
    ("ohlc.json", "signal", CLASSES),
    ("seattle-temps.csv", "temp", NUMBERS),
    ("seattle-weather.csv", "weather", CLASSES),
    ("sf-temps.csv", "temp", NUMBERS),
    ("stocks.csv", "price", NUMBERS),  # dates such as Jan 1 2000
    ("us-employment.csv", "nonfarm", NUMBERS),
    ("wheat.json", "wheat", NUMBERS),
]
RARE = {"airports.csv", "ohlc.json"}  # have classes of a single row
BUNDLED = [
    ("iris", CLASSES),
    ("wine", CLASSES),
    ("breast-cancer", CLASSES),
    ("digits", CLASSES),
    ("diabetes", NUMBERS),
]


def folder(package: str, inside: str) -> Path:
    """Where a package keeps its tables; it is not imported."""
    found = find_spec(package)
    assert found is not None, f"{package} is missing: pip install 'chainrule[test]'"
    assert found.origin is not None
    return Path(found.origin).parent / inside


def check(run, data, arguments, task):
    done = run("train", data, *arguments, "--epochs", "10", "--folds", "2", "--no-report", "--json")
    assert done.status == 0, done.err
    result = done.result
    assert result["task"] == task
    assert math.isfinite(result["score"])
    assert math.isfinite(result["baseline"])
    assert all(finding["text"] and finding["remedy"] for finding in result["findings"])
    predicted = run("predict", "model.safetensors", data, "--json")
    assert predicted.status == 0, predicted.err
    return done


@pytest.mark.parametrize(("name", "target", "task"), first_ones(STATSMODELS))
def test_statsmodels(run, name, target, task):
    path = folder("statsmodels", "datasets") / name
    check(run, path, ["--target", target], task)
    assert read_table(Path("predictions.csv")).height == read_table(path).height


@pytest.mark.filterwarnings("default:class:chainrule.DataWarning")
@pytest.mark.parametrize(("name", "target", "task"), first_ones(VEGA))
def test_vega(run, name, target, task):
    path = folder("vega_datasets", "_data") / name
    trained = check(run, path, ["--target", target], task)
    assert ("has 1 row for 2 folds" in trained.err) == (name in RARE)
    assert read_table(Path("predictions.csv")).height == read_table(path).height


@pytest.mark.parametrize(("name", "task"), first_ones(BUNDLED))
def test_scikit_learn(run, name, task):
    check(run, name, [], task)
