"""Words that are nobody's stay out of code, comments and pages; docs/glossary.md lists them with the words to use."""

import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"
FOLDERS = ("src", "docs", "tests", "benchmarks")

#: files that quote: the glossary itself, what the lectures say, the history, this test
QUOTING = {"docs/glossary.md", "docs/lectures/rows.csv", "CHANGELOG.md", "tests/test_words.py"}
#: phrases in which a word is the right one
ALLOWED = re.compile(
    r"(greek|upright|capital|ascii|case of) letters?|letters? (of|in) (an|the) alphabet"
    r"|\"lives\"|'lives'",  # a key of checkpoint files
    re.IGNORECASE,
)


def banned_words() -> dict[str, str]:
    """Each word that is not used, with the words to use instead."""
    table = GLOSSARY.read_text().partition("## Words that are not used")[2]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")][1:]
    return {word.strip(): instead.strip() for words, instead in rows for word in words.split(",")}


BANNED = banned_words()
#: where a word is the right one: encodings are told by the letters of languages; the lectures write step size
AT_HOME = {"letters": "src/chainrule/data/"} | dict.fromkeys(("step size", "step sizes"), "docs/lectures/")
#: as a word of its own, and as a part of a name such as ``_turned_columns``
PATTERN = re.compile(rf"(?<![A-Za-z])({'|'.join(map(re.escape, BANNED))})(?![a-z])", re.IGNORECASE)


def found_in(text: str) -> list[str]:
    return [match[1].lower() for match in PATTERN.finditer(ALLOWED.sub("", text))]


def texts() -> list[Path]:
    found = [path for name in FOLDERS for path in (ROOT / name).rglob("*")]
    found += ROOT.glob("*.md")
    return [p for p in found if p.suffix in (".py", ".md") and p.relative_to(ROOT).as_posix() not in QUOTING]


def test_no_text_has_a_banned_word() -> None:
    problems = [
        f"{path.relative_to(ROOT)}:{number}: {word!r}; use: {BANNED[word]}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for word in found_in(line)
        if not path.relative_to(ROOT).as_posix().startswith(AT_HOME.get(word, "-"))
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("threads meet between phases", ["meet"]),
        ("metre, meeting_text, MEETING", ["meeting", "meeting"]),
        ("_turned(x), returned, Turned", ["turned", "turned"]),
        ("Greek letters, letters", ["letters"]),
        ('metadata["lives"], olives', []),
    ],
)
def test_words_are_found_whole(text: str, words: list[str]) -> None:
    assert found_in(text) == words


def test_every_banned_word_has_another_one_and_a_reason() -> None:
    table = GLOSSARY.read_text().partition("## Words that are not used")[2]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) >= 4
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)


def docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring of the sources, with its place."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text


def test_rows_of_the_lectures_stand_in_the_last_line_of_a_docstring_and_exist() -> None:
    with (ROOT / "docs/lectures/rows.csv").open(newline="") as file:
        rows = {line["row"] for line in csv.DictReader(file)}
    errata = set(re.findall(r"^\(err(\d+)\)=$", (ROOT / "docs/errata.md").read_text(), flags=re.MULTILINE))
    problems, count = [], 0
    for place, text in docstrings():
        if re.search(r"\((rows? [A-E]\d|errat(um|a) \d)", text):
            problems.append(f"{place}: numbers of rows within the text")
        lines = [line for line in text.splitlines() if line.startswith("Lectures: ")]
        count += len(lines)
        for line in lines:
            named, _, wrong = line.partition("errat")
            unknown = set(re.findall(r"\b[A-E]\d+", named)) - rows | set(re.findall(r"\d+", wrong)) - errata
            if unknown or line != text.splitlines()[-1] or not line.endswith("."):
                problems.append(f"{place}: {line}")
    assert problems == []
    assert count > 50
