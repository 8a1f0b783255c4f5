"""The lectures' rows: what they say, where a page treats them, which tests are theirs. Needs no Sphinx."""

import ast
import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1]
PAGES = DOCS / "lectures"
TESTS = DOCS.parent / "tests"

_ANCHORS = re.compile(r"^((?:\([A-E]\d+\)=\n)+)\n?(#+) (.+)$", re.MULTILINE)
_TEST_NAME = re.compile(r"test_((?:[A-E]\d+_)*[A-E]\d+)(?:_|$)")


@dataclass(frozen=True)
class Row:
    """One line of rows.csv: number such as "A26", what the row says, and a remark such as "documentation only"."""

    number: str
    what: str
    remark: str


@dataclass(frozen=True)
class Section:
    """A section of a page that treats rows."""

    page: Path
    title: str


@dataclass(frozen=True)
class Test:
    """A test function or method, by its file and qualified name."""

    __test__ = False  # of pytest

    file: Path
    name: str

    @property
    def first_row(self) -> str:
        """The first row that its name says."""
        return rows_of(self.name)[0]

    @property
    def words(self) -> str:
        """What its name says after the rows."""
        return _TEST_NAME.sub("", self.name.rpartition(".")[2]).replace("_", " ")


def rows_of(name: str) -> list[str]:
    """The rows that a test's name begins with."""
    match = _TEST_NAME.match(name.rpartition(".")[2])
    return match[1].split("_") if match else []


def all_rows() -> list[Row]:
    """Every row of the table, in order."""
    with (PAGES / "rows.csv").open(newline="") as file:
        return [Row(line["row"], line["what"], line["remark"]) for line in csv.DictReader(file)]


def sections() -> dict[str, Section]:
    """The section that carries each row's anchor, such as ``(A26)=`` on the line before its heading."""
    found = {}
    for page in sorted(PAGES.glob("[a-e].md")):
        for anchors, _, title in _ANCHORS.findall(page.read_text()):
            for row in re.findall(r"[A-E]\d+", anchors):
                if row in found:
                    raise ValueError(f"two sections for {row}: {found[row]} and {title!r} of {page.name}")
                found[row] = Section(page, title)
    return found


def tests() -> dict[str, list[Test]]:
    """The tests named after each row: ``test_A26_...``, or ``test_A26_A27_...`` for both."""
    found = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for name in _functions(ast.parse(file.read_text())):
            for row in rows_of(name):
                found[row].append(Test(file, name))
    return found


def _functions(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef))
