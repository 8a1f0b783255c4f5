"""The table of all rows is whole: none lacks a section on a page, none lacks a test."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "docs" / "_site" / "rows.py"
COUNTS = {"A": 29, "B": 25, "C": 20, "D": 9, "E": 31}
PROSE = {"A19", "E13"}


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """What the documentation's table is made with."""
    spec = importlib.util.spec_from_file_location("lecture_rows_of_the_site", FILE)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look it up there
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


def test_every_row_is_in_the_table_once_and_in_order(site):
    expected = [f"{lecture}{i}" for lecture, count in COUNTS.items() for i in range(1, count + 1)]
    assert [row.number for row in site.all_rows()] == expected
    assert all(row.what.strip() for row in site.all_rows())


def test_every_row_has_a_section_on_the_page_of_its_lecture(site):
    sections = site.sections()
    assert [row.number for row in site.all_rows() if row.number not in sections] == []
    assert set(sections) == {row.number for row in site.all_rows()}
    for number, section in sections.items():
        assert section.page.stem == number[0].lower(), number


def test_every_row_has_a_test_but_those_of_prose_which_say_so(site):
    tests = site.tests()
    assert {row.number for row in site.all_rows() if row.number not in tests} <= PROSE
    remarks = {row.number: row.remark for row in site.all_rows() if row.remark}
    assert {number for number, remark in remarks.items() if remark == "documentation only"} == PROSE
    assert "later" in remarks["C12"]


def test_tests_are_named_after_rows_that_exist(site):
    known = {row.number for row in site.all_rows()}
    assert {number for number in site.tests() if number not in known} == set()


def test_every_erratum_has_its_section():
    text = (FILE.parents[1] / "errata.md").read_text()
    anchors = re.findall(r"^\(err(\d+)\)=\n### (\d+)\. ", text, flags=re.MULTILINE)
    assert anchors == [(str(i), str(i)) for i in range(1, 44)]
