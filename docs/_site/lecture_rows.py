"""Two directives: ``rows-table``, the table of all rows, and ``row-tests``, the tests of a lecture's rows."""

import re
from typing import Any

import rows
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROW = re.compile(r"[a-e]\d+")


class RowsTable(SphinxDirective):
    """Every row with what it says, the section that treats it, and its tests."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        sections, tests = rows.sections(), rows.tests()
        lines = ["| row | what it says | on the page | tests |", "|---|---|---|---|"]
        for row in rows.all_rows():
            section = sections.get(row.number)
            page = "" if section is None else f"[{section.title}](#{row.number})"
            links = [f"[{test.words}](#{test_label(test)})" for test in tests.get(row.number, ())]
            remark = [f"*{row.remark}*"] if row.remark else []
            what = row.what.replace("|", r"\|")
            lines.append(f"| {row.number} | {what} | {page} | {'; '.join(remark + links)} |")
        found = self.parse_text_to_nodes("\n".join(lines))
        for table in found:
            table["classes"].append("rows")
        return found


class RowTests(SphinxDirective):
    """The source of every test whose first row belongs to one lecture."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        shown: set[rows.Test] = set()
        found = rows.tests()
        for row in rows.all_rows():
            shown.update(test for test in found.get(row.number, ()) if test.first_row == row.number)
        mine = [test for test in shown if test.first_row.startswith(self.arguments[0])]
        mine.sort(key=lambda test: (int(test.first_row[1:]), test.file.name, test.name))
        lines = [line for test in mine for line in _shown(test)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _shown(test: rows.Test) -> list[str]:
    path = "/" + "../" + test.file.relative_to(rows.DOCS.parent).as_posix()
    return [
        f"({test_label(test)})=",
        f"### {', '.join(rows.rows_of(test.name))}: {test.words}",
        "",
        f"`{test.file.relative_to(rows.DOCS.parent)}`",
        "",
        f"```{{literalinclude}} {path}",
        f":pyobject: {test.name}",
        ":language: python",
        "```",
        "",
    ]


def test_label(test: rows.Test) -> str:
    """Unique for each test, also where two files have tests of one name."""
    return f"{test.file.stem}-{test.name}".lower().replace(".", "-")


def mark_sections(app: Sphinx, tree: nodes.document) -> None:
    """Put the numbers of a section's rows behind its title."""
    for section in tree.findall(nodes.section):
        found = [name.upper() for name in section["names"] if ROW.fullmatch(name)]
        if found:
            text = " ".join(sorted(found, key=lambda number: int(number[1:])))
            section.next_node(nodes.title).append(nodes.inline(text, f" {text}", classes=["row-marks"]))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("rows-table", RowsTable)
    app.connect("doctree-read", mark_sections, priority=100)
    app.add_directive("row-tests", RowTests)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
