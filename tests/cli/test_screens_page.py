"""The page of screens shows what is printed.

With the three tables in a folder, ``TABLES=FOLDER pytest -m tables -n 0`` runs the commands of the page; elsewhere that
test is deselected, and fails rather than passes when it is asked for.
"""

import os
import re
import struct
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_site"))
import screens  # noqa: E402

SHOWN = screens.shown(screens.PAGE.read_text())


NUMBER = re.compile(r"-?\d[\d.,e+-]*(?: \d{3}\b)*")


def outline(text):
    """The lines without their numbers, which are those of a kind of processor, and without the bars."""
    lines = [NUMBER.sub("N", line.replace("#", "")) for line in text.splitlines()]
    return [re.sub(r" +", " ", line).rstrip() for line in lines]


def test_every_table_has_its_screen_and_its_pictures():
    assert list(SHOWN) == list(screens.TABLES)
    for name in screens.TABLES:
        for width, height in screens.WIDTHS.items():
            head = (screens.PICTURES / f"{name}-{width}.png").read_bytes()[:24]
            assert head.startswith(b"\x89PNG")
            assert struct.unpack(">II", head[16:24]) == (width, height)


def test_what_is_the_same_on_every_screen_is_as_it_is_printed_today(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for data, pages in (("wine", ["titanic", "adult"]), ("diabetes", ["autos"])):
        printed = outline(run("train", data, "--epochs", 3, "--folds", 3).out)
        starts = (
            "(",
            "RMSE ",
            "MAE",
            "log loss",
            "network ",
            "columns that",
            "rows by",
            "model:",
            "report:",
            "next:",
        )
        fixed = [line for line in printed if line.lstrip().startswith(starts)]
        fixed = [line for line in fixed if not line.startswith("network ")]  # how wide they are moves its end
        assert len(fixed) > 8
        for name in pages:
            assert [line for line in fixed if line not in outline(SHOWN[name])] == []


@pytest.mark.tables
@pytest.mark.parametrize("name", screens.TABLES)
def test_the_page_shows_what_the_command_prints(name, tmp_path):
    tables = os.environ.get("TABLES")
    assert tables, "TABLES is to name the folder of the three tables"
    assert outline(screens.screen(name, Path(tables), tmp_path)) == outline(SHOWN[name])
