"""HTML and SVG as text; number_text and the colours, which everything that is shown uses."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from chainrule.charts import COLOURS
from chainrule.markup import element, table
from chainrule.number_text import readable, significant

SOURCES = Path(__file__).parents[1] / "src" / "chainrule"


@given(st.lists(st.lists(st.text(), min_size=1, max_size=3), max_size=4), st.text())
def test_a_table_is_well_formed_whatever_its_cells_hold(rows: list[list[str]], title: str) -> None:
    cells = [[element("td", text) for text in row] for row in rows]
    root = ElementTree.fromstring(table([element("th", title)], cells, class_="x"))
    assert [len(row) for row in root.iterfind("tbody/tr")] == [len(row) for row in rows]
    assert len(root.findall("thead/tr/th")) == 1


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(2, 9))
def test_significant_digits_read_back_as_the_rounded_number(value: float, digits: int) -> None:
    assert float(significant(value, digits)) == float(f"{value:.{digits}g}")
    assert not re.search(r"e[+-]?0|\+", significant(value, digits))


@given(st.floats(1e-4, 1e15))
def test_readable_numbers_keep_four_digits(value: float) -> None:
    assert abs(float(readable(value).replace("\u202f", "")) - value) <= 0.51e-3 * value + 0.5 * (
        value >= 1000
    )


def test_the_charts_of_the_report_and_of_notebooks_have_the_colours_of_plots() -> None:
    css = (SOURCES / "report" / "report.css").read_text()
    assert re.search(r"--training: (#\w+)", css)[1] in COLOURS
    assert tuple(map(int, re.search(r"--right: (\d+) (\d+) (\d+)", css).groups())) == _rgb(COLOURS[0])
    assert tuple(map(int, re.search(r"--wrong: (\d+) (\d+) (\d+)", css).groups())) == _rgb(COLOURS[-1])
    notebook = ast.parse((SOURCES / "notebook.py").read_text())
    texts = [n.value for n in ast.walk(notebook) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    assert not [text for text in texts if re.search(r"#[0-9a-f]{6}", text)]


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
