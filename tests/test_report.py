"""The HTML report: safe, self-contained, small, and legible for odd runs."""

import dataclasses
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from chainrule.errors import DataError, ShapeError
from chainrule.number_text import readable
from chainrule.report import (
    Calibration,
    Column,
    Confusion,
    Curves,
    FindingRow,
    Findings,
    Importance,
    Importances,
    Layer,
    MetricRow,
    Predictions,
    Report,
    WorstRows,
    render,
)


def curves_of(training: object, validation: object = None, kept: int = 0, best_epoch: int = 0) -> Curves:
    as_array = None if validation is None else np.array(validation, dtype=float)
    return Curves(np.array(training, dtype=float), as_array, kept, best_epoch)


def confusion_of(counts: object, classes: list[str] | None = None) -> Confusion:
    counts = np.array(counts)
    right, actual, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    ratios = [
        np.divide(right, total, out=np.full(len(right), np.nan), where=total > 0)
        for total in (predicted, actual)
    ]
    return Confusion(classes or [f"class {i}" for i in range(len(counts))], counts, *ratios)


def report_of(**changes: object) -> Report:
    report = Report(
        title="flowers.csv: predicting species",
        task="classification",
        metric="accuracy",
        score=0.9,
        baseline=0.4,
        training_rows=120,
        held_out_rows=30,
        curves=curves_of(
            [[1.0, 0.5, 0.3], [1.1, 0.7, 0.6]], [[1.0, 0.6, 0.7], [1.2, 0.8, 0.7]], best_epoch=1
        ),
        outcome=confusion_of([[9, 1, 0], [0, 8, 2], [0, 0, 10]]),
        columns=[Column("petal length", "number", "1 to 6.9", 2)],
        layers=[Layer("Linear", "[batch, 3]", 15)],
        settings={"hidden": "64,64"},
        notices=["2 missing values were filled in."],
        predict_command="chainrule predict model.safetensors flowers.csv",
        python_snippet="import chainrule",
        version="0.1.0",
        seconds=1.5,
    )
    return dataclasses.replace(report, **changes)  # type: ignore[arg-type]


def parse(text: str) -> ElementTree.Element:
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def words(tree: ElementTree.Element) -> str:
    return " ".join("".join(part.itertext()) for part in tree.findall("body/*"))


def numbers_drawn(tree: ElementTree.Element) -> list[float]:
    """All coordinates in the pictures."""
    texts = [
        value for picture in tree.iter("svg") for part in picture.iter() for value in part.attrib.values()
    ]
    return [
        float(token) for text in texts for token in re.findall(r"-?(?:\d+\.?\d*(?:e\d+)?|nan|inf)\b", text)
    ]


def test_shows_what_it_was_given() -> None:
    text = words(parse(render(report_of())))
    expected = ["0.9", "0.4", "27 of 30 rows", "petal length", "1 to 6.9", "64,64", "epoch 2: 0.6"]
    expected += ["2 missing values were filled in.", "Restart 1 of 2 is kept", "predict model.safetensors"]
    assert [part for part in expected if part not in text] == []


def test_is_html_that_closes_every_element() -> None:
    open_elements: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attributes: object) -> None:
            open_elements.append(tag)

        def handle_startendtag(self, tag: str, attributes: object) -> None:
            # In HTML "<p />" would stay open; in SVG and for these elements it is closed.
            assert tag in {"meta", "br", "line", "circle", "path"}

        def handle_endtag(self, tag: str) -> None:
            assert open_elements.pop() == tag

    Checker().feed(render(report_of()))
    assert open_elements == []


NASTY = "<script>alert('1')</script> & \" ]]> \x00\x1b \ud800 \uffff <!-- </style> \u202e"


def test_all_text_is_escaped() -> None:
    report = report_of(
        **dict.fromkeys(("title", "task", "metric", "predict_command", "python_snippet", "version"), NASTY),
        notices=[NASTY],
        settings={NASTY: NASTY},
        columns=[Column(NASTY, NASTY, NASTY, 0)],
        layers=[Layer(NASTY, NASTY, 0)],
        outcome=confusion_of([[3, 1], [1, 3]], [NASTY, NASTY + "2"]),
    )
    text = render(report)
    text.encode("utf-8")
    tree = parse(text)
    assert "<script" not in text
    assert tree.findall(".//script") == []
    assert words(tree).count("<script>alert('1')</script> & \"") >= 12


def test_refers_to_nothing_outside_itself() -> None:
    for outcome in (report_of().outcome, Predictions(np.arange(5.0), np.arange(5.0))):
        text = render(report_of(outcome=outcome))
        assert not re.search(r"//|url\(|@import|\b(?:src|href|action)=", text.replace("<!DOCTYPE html>", ""))
        policy = parse(text).find("head/meta[@http-equiv='Content-Security-Policy']")
        assert policy.attrib["content"].startswith("default-src 'none';")


@pytest.mark.parametrize("text", ["x", '"'])
def test_stays_below_two_megabytes(text: str) -> None:
    random = np.random.default_rng(0)
    long = text * 10_000
    losses = random.random((100, 3_000))
    report = report_of(
        curves=Curves(losses, losses + 1, kept=3, best_epoch=2_999),
        columns=[Column(long, long, long, 0)] * 5_000,
        layers=[Layer(long, long, 1)] * 5_000,
        settings={f"{i}{long}": long for i in range(1_000)},
        notices=[long] * 1_000,
    )
    classes = [f"{long[:150]}{i}" for i in range(50)]
    actual = random.normal(size=100_000)
    for outcome in (
        confusion_of(random.integers(0, 9_999, (50, 50)), classes),
        confusion_of(random.integers(0, 9, (400, 400))),
        Predictions(actual, actual + random.normal(size=100_000)),
    ):
        page = render(dataclasses.replace(report, outcome=outcome))
        assert len(page.encode()) < 2_000_000
        assert "4\u202f850 more are not listed" in page


def test_thinned_scatter_says_so() -> None:
    values = np.linspace(0, 1, 100_000)
    tree = parse(render(report_of(task="regression", outcome=Predictions(values, values))))
    assert "2\u202f000 of 100\u202f000 rows are drawn" in words(tree)
    scatter, residuals = tree.findall(".//g[@class='dots']")
    assert len(scatter.findall("circle")) == len(residuals.findall("circle")) == 2_000


def test_scatter_draws_every_finite_row_and_counts_the_others() -> None:
    outcome = Predictions(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, np.nan, 2.0, np.inf]))
    tree = parse(render(report_of(task="regression", outcome=outcome)))
    dots = tree.findall(".//figure[@class='square']//g[@class='dots']/circle")
    assert len(dots) == 2
    # The first is above the diagonal, the second below: y grows downwards.
    x, y = (np.array([float(dot.attrib[name]) for dot in dots]) for name in ("cx", "cy"))
    line = tree.find(".//line[@class='diagonal']").attrib
    on_line = np.interp(x, [float(line["x1"]), float(line["x2"])], [float(line["y1"]), float(line["y2"])])
    assert y[0] < on_line[0]
    assert y[1] > on_line[1]
    assert "2 rows without a finite prediction left out" in words(tree)


def test_epochs_that_were_not_run_break_no_curve() -> None:
    nan = np.nan
    curves = curves_of(
        [[3, 2, nan, nan, nan], [4, 3, 2, 1, nan]], [[3, 3, nan, nan, nan], [4, 3, 3, 2, nan]], 1, 3
    )
    tree = parse(render(report_of(curves=curves)))
    assert np.isfinite(numbers_drawn(tree)).all()
    paths = [path.attrib["d"] for path in tree.findall(".//figure//path")]
    assert sorted(path.count(" ") for path in paths) == [2, 2, 4, 4]  # one point has one space
    ticks = [text.text for text in tree.findall(".//figure//svg//text")]
    assert "4" in ticks
    assert "5" not in ticks  # no restart ran a fifth epoch


@pytest.mark.parametrize(
    "training",
    [
        [[0.7]],
        [[0.0, 0.0]],
        [[-1.0, -2.0]],
        [[np.nan, np.nan]],
        [[1.0, np.inf]],
        [[np.inf, 1.0]],
        [[1e308, -1e308]],
        [[1e308, 1e-308]],
        [[5e-324, 0.0]],
        [[1e16, 1e16 + 2]],
        [[1.0, np.nan, 2.0]],
        [[np.nan] * 3, [1.0, 2.0, 3.0]],
    ],
    ids=str,
)
def test_odd_losses_are_drawn_within_the_picture(training: list[list[float]]) -> None:
    for validation in (None, training):
        tree = parse(render(report_of(curves=curves_of(training, validation))))
        drawn = numbers_drawn(tree)
        assert np.isfinite(drawn).all()
        assert max(drawn, default=0) <= 600


def test_losses_over_decades_get_a_logarithmic_axis() -> None:
    assert "Loss (logarithmic)" in render(report_of(curves=curves_of([[100.0, 1.0, 0.01]])))
    assert "Loss (logarithmic)" not in render(report_of(curves=curves_of([[3.0, 2.0, 1.0]])))
    assert "Loss (logarithmic)" not in render(report_of(curves=curves_of([[100.0, 1.0, 0.0]])))


def test_kept_restart_is_bold_drawn_last_and_marked_at_its_best_epoch() -> None:
    curves = curves_of([[3, 2, 1], [3, 1, 2], [3, 3, 3]], kept=1, best_epoch=1)
    tree = parse(render(report_of(curves=curves)))
    lines = [g for g in tree.findall(".//figure/svg/g") if g.attrib.get("class", "").startswith("curve")]
    assert [line.attrib["class"] for line in lines] == ["curve training"] * 2 + ["curve training kept"]
    assert lines[-1].find("title").text == "restart 2, training loss"
    mark = tree.find(".//circle[@class='mark training']").attrib
    assert f"L{mark['cx']} {mark['cy']}L" in lines[-1].find("path").attrib["d"]


def test_long_curves_keep_their_spikes() -> None:
    losses = np.ones((1, 50_000))
    losses[0, 31_234] = 7.0
    tree = parse(render(report_of(curves=Curves(losses, None, 0, 0))))
    heights = [
        float(pair.split()[1]) for pair in re.split("[ML]", tree.find(".//figure//path").attrib["d"])[1:]
    ]
    assert len(heights) <= 400
    assert min(heights) < max(heights) - 200


@pytest.mark.parametrize(
    "values", [[1e300, -1e300], [0.0, 0.0], [1e-300, 2e-300], [5.0, 5.0], [1e308, 1e308]]
)
def test_odd_targets_are_drawn(values: list[float]) -> None:
    tree = parse(render(report_of(outcome=Predictions(np.array(values), np.array(values)))))
    drawn = numbers_drawn(tree)
    assert np.isfinite(drawn).all()
    assert max(drawn) <= 700
    assert "off by less than 0," in words(tree)


def test_a_score_of_the_training_rows_is_not_called_held_out() -> None:
    text = words(parse(render(report_of(held_out_rows=0))))
    assert "accuracy on the 120 rows trained on: none were held out" in text
    assert "27 of the 120 rows trained on" in text


def test_no_held_out_rows() -> None:
    assert "No rows were held out" in render(report_of(outcome=Predictions(np.array([]), np.array([]))))


@pytest.mark.parametrize("counts", [[[7]], [[0]], [[0, 0], [0, 0]], [[0, 3], [0, 0]]], ids=str)
def test_classes_without_rows(counts: list[list[int]]) -> None:
    tree = parse(render(report_of(outcome=confusion_of(counts))))
    cells = [int(cell.text) for cell in tree.findall(".//table[@class='matrix']/tbody/tr/td")]
    assert cells == np.array(counts).ravel().tolist()
    assert "nan" not in words(tree)


def test_many_classes_give_the_most_confused_pairs_instead_of_a_matrix() -> None:
    counts = np.eye(60, dtype=int) * 10
    counts[3, 5], counts[7, 8] = 2, 4
    tree = parse(render(report_of(outcome=confusion_of(counts))))
    assert tree.findall(".//table[@class='matrix']") == []
    pairs = tree.findall(".//section[h3='Most frequent mistakes']//table")[0].findall("tbody/tr")
    cells = [["".join(cell.itertext()) for cell in pair] for pair in pairs]
    assert cells == [["class 7", "class 8", "4", "28.6%"], ["class 3", "class 5", "2", "16.7%"]]


def test_pictures_and_tables_are_described() -> None:
    for outcome in (report_of().outcome, Predictions(np.arange(3.0), np.arange(3.0))):
        tree = parse(render(report_of(outcome=outcome)))
        pictures = [picture for picture in tree.iter("svg") if "aria-hidden" not in picture.attrib]
        assert pictures
        for picture in pictures:
            assert picture.attrib["role"] == "img"
            assert picture[0].tag == "title"
            assert picture[0].text
        for table in tree.iter("table"):
            assert all(cell.attrib["scope"] == "row" for cell in table.findall("tbody/tr/th"))
            assert all(row[0].tag == "th" for row in table.findall("tbody/tr"))
            assert all(cell.attrib["scope"] == "col" for cell in table.findall("thead/tr/th"))
        assert tree.attrib["lang"] == "en"


def test_numbers_as_a_person_would_write_them() -> None:
    values = [0, 0.5, -0.003, 0.97222, 1234.567, 1797, 3_373_400.0, 1e-7]
    written = [readable(value).replace("\u202f", " ") for value in values]
    assert written == ["0", "0.5", "-0.003", "0.9722", "1 235", "1 797", "3 373 400", "1.000e-07"]
    assert [readable(float("nan")), readable(float("-inf"))] == ["not a number", "infinite"]


def test_parts_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[restarts, epochs\]"):
        curves_of([[1.0, 2.0]], [[1.0]])
    with pytest.raises(DataError, match="epoch 2"):
        curves_of([[1.0, 2.0]], best_epoch=2)
    with pytest.raises(ShapeError, match="3 classes"):
        confusion_of([[1, 0], [0, 1]], ["a", "b", "c"])
    with pytest.raises(ShapeError, match=r"\[3\] and \[2\]"):
        Predictions(np.zeros(3), np.zeros(2))


# What the diagnosis, the shuffles and single rows say


def extras() -> dict[str, object]:
    return {
        "findings": Findings(
            [FindingRow(NASTY, "severe", "Units are off.", "dead units 7", "elu", ["C13: no slope"])],
            {"gradient norm": "0.5"},
            [{"layer": "0: Linear", "units": "8"}, {"layer": "1: ReLU", "dead": "7"}],
        ),
        "importances": Importances(
            [
                Importance("petal width", 0.25, 0.01, 3.0),
                Importance(NASTY, 0.0, 0.0, 0.1),
                Importance("noise", -0.01, 0.02, 0.2),
            ],
            "what is lost.",
            "Slope: how steep.",
            left_out=5,
        ),
        "calibration": Calibration(
            np.array([0.5, 0.75, 1.0]), np.array([0.6, 0.9]), np.array([0.5, 1.0]), np.array([4, 12]), 0.1
        ),
        "worst": WorstRows(["Row", "Actual"], [["17", NASTY]], [], "Counted from 1."),
    }


def test_shows_diagnosis_importance_calibration_and_worst_rows() -> None:
    tree = parse(render(report_of(**extras())))
    text = words(tree)
    expected = ["Severe: ", "Units are off.", "dead units 7", "C13: no slope", "gradient norm", "petal width"]
    expected += ["5 columns whose slope is smaller were not shuffled", "expected calibration error, 2 bins"]
    expected += ["Counted from 1.", "17", "82.5% on average", "87.5% of 30 rows", "Slope: how steep."]
    assert [part for part in expected if part not in text] == []
    assert re.search(r"as sure as it should be, as far as \d+ rows can tell", text)
    assert "<script" not in render(report_of(**extras()))
    assert np.isfinite(numbers_drawn(tree)).all()


@pytest.mark.parametrize(
    ("confidence", "rows", "said"),
    [
        (0.7, 400, "it is not sure enough"),
        (0.9, 400, "it is too sure"),
        (0.75, 40, "as sure as it should be"),
    ],
)
def test_sureness_is_judged_by_what_the_rows_can_tell(confidence: float, rows: int, said: str) -> None:
    """Of 400 rows 80% right vary by 4%, of 40 by 13%."""
    bins = Calibration(
        np.array([0.5, 1.0]), np.array([confidence]), np.array([0.8]), np.array([rows]), abs(confidence - 0.8)
    )
    assert said in words(parse(render(report_of(calibration=bins))))


def test_many_notices_of_a_kind_are_one_line_and_folded_in_full() -> None:
    many = [f"column 'c{i}' has no value in {i + 1} of 2000 rows: a category of its own" for i in range(911)]
    tree = parse(render(report_of(notices=[*many, "rows without a target are left out"])))
    (section,) = [part for part in tree.iter("section") if part.get("class") == "notices"]
    assert len(section.findall("ul/li")) == 2
    assert "910 more like this" in words(tree)
    folded = section.findall("ul/li/details/ul/li")
    assert "column 'c500'" in "".join(part.text or "" for part in folded)


def test_measures_stand_beside_a_constant_and_a_linear_model() -> None:
    rows = [MetricRow("log loss", "0.31", "0.69", "0.4", "less is better")]
    text = words(parse(render(report_of(metrics=rows))))
    for part in ("log loss", "0.31", "0.69", "0.4", "Linear model", "30 rows held out"):
        assert part in text


def test_columns_that_may_be_chance_are_faint_and_said_to_be() -> None:
    columns = [Importance("a", 0.3, 0.01, 1.0), Importance("b", 0.01, 0.02, 1.0, is_noise=True)]
    tree = parse(render(report_of(importances=Importances(columns, "what is lost.", "Slope."))))
    assert [bar.get("class") for bar in tree.iter("rect") if bar.get("height") == "14"] == [None, "noise"]
    assert "may be chance" in words(tree)


def test_large_numbers_in_tables_have_their_spaces() -> None:
    rows = WorstRows(["Row", "Actual"], [["17", readable(12345.0)]], [1], "")
    text = words(
        parse(render(report_of(worst=rows, metrics=[MetricRow("MAE", readable(2500.0), "", "", "")])))
    )
    assert "12\u202f345" in text
    assert "2\u202f500" in text
    assert "\\u202f" not in text


def test_without_findings_it_says_so() -> None:
    text = words(parse(render(report_of(findings=Findings([], {"loss": "1"}, [])))))
    assert "Nothing wrong was found" in text


def test_bars_are_as_long_as_the_losses() -> None:
    tree = parse(render(report_of(**extras())))
    bars = {
        bar.find("title").text.split(":")[0]: bar
        for bar in tree.findall(".//g[@class='bars']/rect")
        if bar.find("title") is not None
    }
    width = {name: float(bar.attrib["width"]) for name, bar in bars.items()}
    assert width["petal width"] == pytest.approx(25 * width["noise"], rel=0.02)
    assert float(bars["noise"].attrib["x"]) < float(bars["petal width"].attrib["x"])
    heights = [float(bar.attrib["height"]) for bar in bars.values() if bar.attrib["width"] == "208.0"]
    assert len(heights) == 2
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)  # accuracies 1.0 and 0.5


def test_whiskers_are_drawn_whole() -> None:
    """One that is cut off at the edge would tell a smaller error than there is."""
    columns = [
        Importance("a", 3.0, 1.5, 1.0),
        Importance("b", 0.5, 2.0, 1.0),
        Importance("c", -0.5, 1.0, 1.0),
    ]
    tree = parse(render(report_of(importances=Importances(columns, "what is lost.", "Slope."))))
    group = next(
        g for g in tree.findall(".//g[@class='bars']") if any(t.text == "a" for t in g.findall("text"))
    )
    bars = [rect for rect in group.findall("rect") if rect.get("height") == "14"]
    whiskers = [line for line in group.findall("line") if line.get("y1") == line.get("y2")]
    unit = float(bars[0].attrib["width"]) / 3.0
    for column, line in zip(columns, whiskers, strict=True):
        drawn = float(line.attrib["x2"]) - float(line.attrib["x1"])
        assert drawn == pytest.approx(2 * column.spread * unit, abs=0.3)
    assert min(float(line.attrib["x1"]) for line in whiskers) >= 0


def test_the_drawing_is_in_the_page() -> None:
    tree = parse(render(report_of(drawing='<svg class="chainrule-drawing"><title>a net</title></svg>')))
    assert tree.find(".//figure[@class='drawing']//svg/title").text == "a net"


def test_bins_belong_together() -> None:
    with pytest.raises(ShapeError, match="same bins"):
        Calibration(np.zeros(3), np.zeros(2), np.zeros(3), np.zeros(2, int), 0.0)


def test_residuals_are_around_their_line() -> None:
    outcome = Predictions(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]))
    tree = parse(render(report_of(task="regression", outcome=outcome)))
    picture = next(p for p in tree.iter("svg") if p.findtext("title") == "Residuals")
    line = float(picture.find(".//line[@class='diagonal']").attrib["y1"])
    dots = [float(dot.attrib["cy"]) for dot in picture.findall(".//circle")]
    assert dots[0] - line == pytest.approx(line - dots[2], abs=0.2)  # actual - predicted: -1, 0, 1
    assert dots[0] > line
    assert dots[1] == pytest.approx(line, abs=0.1)
