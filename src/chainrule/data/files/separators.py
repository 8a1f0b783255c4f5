"""How the text of a table is laid out: what separates cells, which lines are above the header, what its lines lack.

A file whose first lines fit the separator that its name or its header suggests is read so. Only where some have more or
fewer cells than the header are other separators tried, are lines above the header left out, and are row names assumed;
and only where no separator fits all lines is one taken that most lines fit. ``heading.py`` then tells the header.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from chainrule.data.files.compressed import plain_name
from chainrule.data.files.file_kinds import text_kind
from chainrule.data.files.header_groups import find_grouped_heading
from chainrule.data.files.heading import MOST_JUDGED, count_of, is_headed, is_value
from chainrule.data.files.layout import Layout
from chainrule.data.files.origins import Origin
from chainrule.data.files.spaced import by_places, by_runs, find_places
from chainrule.data.files.stacked_tables import first_table_in
from chainrule.data.files.text_format import FOUND_OUT, TextFormat, may_separate

SAMPLE = 1 << 16  # bytes of UTF-8 that the layout is found from
FEWEST_LINES = 5  # in it, however long they are
MOST_ABOVE = 30  # lines above the header, tried one by one
MOST_TITLES = 300  # where most lines below them fit
NEARLY = 0.95  # as many lines fit a separator as fit another, of which nothing can be made
DECIMALS = re.compile(r"[-+]?\d+(?:,\d+)?(?:[eE][-+]?\d+)?")  # with a comma, if with any mark
MANY_LINES = 10
MANY = 5  # cells of a header, far more than a title's
SEPARATORS = ",;\t|"
MISSING = {"", "NA", "?"}
DIRECTIVE = re.compile(r'\s*"?sep=(.)"?[,;\t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)  # as Excel understands it
BLOCK_COMMENT = re.compile(r"\s*/\*.*?\*/[^\S\r\n]*(?:\r\n|\r|\n)", re.DOTALL)
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")

Records = list[list[str]]
Placed = list[tuple[int, list[str]]]


def find_layout(path: Origin, text: str, whole: bool, wanted: TextFormat = FOUND_OUT) -> Layout:
    """The layout of a text that begins so; ``whole`` says whether this is all; ``wanted`` is what is known of it."""
    if '\\"' in text and wanted.separator is None:
        escaped = _escaped(path, text, whole, wanted)
        if escaped:
            return escaped
    by_name = "\t" if plain_name(path.name).lower().endswith((".tsv", ".tab")) else ""
    usual = wanted.separator or by_name or ","
    first, whole = first_table_in(text, whole)
    layout, rivals = _separated(first, whole, wanted, by_name)
    return _with_heading(_said(layout, usual, rivals), first, whole, wanted.header)


def _escaped(path: Origin, text: str, whole: bool, wanted: TextFormat) -> Layout | None:
    """The layout where quotes inside cells have a backslash ahead, and lines do not fit unless they are read so."""
    separators = [mark for mark in SEPARATORS if mark in text]
    if any(_width(records_of(text, mark, whole) or []) > 1 for mark in separators):
        return None
    mended = unescaped(text.encode()).decode()
    if not any(_width(records_of(mended, mark, whole) or []) > 1 for mark in separators):
        return None
    layout = find_layout(path, mended, whole, wanted)
    return replace(layout, escaped=True, assumed=(*layout.assumed, "a backslash ahead of quotes in cells"))


def unescaped(text: bytes) -> bytes:
    """Text whose quotes inside cells are doubled instead of having a backslash ahead.

    >>> unescaped(b'"5\\\\" pipe"')
    b'"5"" pipe"'
    """
    return text.replace(b'\\"', b'""')


def _separated(text: str, whole: bool, wanted: TextFormat, by_name: str) -> tuple[Layout, str]:
    """The layout but for the header, and other separators that fit as well."""
    given = wanted.separator
    block = BLOCK_COMMENT.match(text)
    if block and text[block.end() :].strip():
        layout, rivals = _separated(text[block.end() :], whole, wanted, by_name)
        lines = len(LINE.findall(block[0])) - 1
        return replace(layout, above=layout.above + lines), rivals
    directive = DIRECTIVE.match(text)
    if directive and may_separate(directive[1]):
        above = len(LINE.findall(text[: directive.end()].rstrip("\r\n"))) - 1
        return Layout(given or directive[1], above), ""
    commented = _commented(text, whole, wanted, by_name)
    if commented:
        return commented
    if not given and _are_spaced_decimals(text):
        return Layout(" "), ""
    plain = Layout(given or by_name or _by_header(text))
    records = records_of(text, plain.separator, whole)
    width = _width(records or [])
    if records is not None and (width > 1 or (given and width)):
        return (plain, "") if given else _unless_rival(text, whole, plain, records)
    if records is not None and width:  # a single column, unless another separator fits all lines
        found = _other_layout(text, whole, given, named=True) or _mostly_fitting(text, whole, given or ";\t|")
        return found or _placed(text) or plain, ""
    found = _other_layout(text, whole, given) or _mostly_fitting(text, whole, given) or _placed(text)
    return found or _nearest(text, whole, plain, records), ""


def _commented(text: str, whole: bool, wanted: TextFormat, by_name: str) -> tuple[Layout, str] | None:
    """The layout below lines that begin with #, if there are some; the last of them may be the header."""
    lines = LINE.findall(text, 0, SAMPLE)
    count = next(
        (place for place, line in enumerate(lines) if not (line.startswith("#") or line.isspace())), 0
    )
    rest = text[sum(map(len, lines[:count])) :]
    if not rest or not any(line.startswith("#") for line in lines[:count]):
        return None
    layout, rivals = _separated(rest, whole, wanted, by_name)
    records = placed_records(rest, layout.separator, whole) or []
    width = Counter(len(record) for _, record in records).most_common(1)[0][0] if records else 0
    if width < 2 or not (
        layout.above or is_headed([record for _, record in records if len(record) == width])
    ):
        return None
    return replace(layout, above=layout.above + count), rivals


def records_of(text: str, separator: str, whole: bool = True) -> Records | None:
    """The records of a text that are not blank; None where its quotes do not match.

    If that is not the ``whole`` text, its last record may be cut within quotes.
    """
    found = placed_records(text, separator, whole)
    return None if found is None else [record for _, record in found]


def placed_records(text: str, separator: str, whole: bool = True) -> Placed | None:
    """As ``records_of``, each with the number of lines above it."""
    if separator == " ":
        text, separator = by_runs(text.encode()).decode(), "\t"
    records, line = [], 0
    try:
        for end, record in records_in(io.StringIO(text, newline=""), separator):
            if record:
                records.append((line, record))
            line = end
    except csv.Error as error:
        if "field limit" not in str(error) and (whole or "unexpected end" not in str(error)):
            return None
    return records


def records_in(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record, with the number of lines up to its end; a blank line is an empty one.

    A line of two quotes is none: it is how an empty cell is written where it is the only one.

    >>> list(records_in(["1\\n", "  \\n", '""\\n'], ","))
    [(1, ['1']), (2, []), (3, [''])]
    """
    last = ""

    def supplied() -> Iterator[str]:
        nonlocal last
        for line in lines:
            last = line
            yield line

    reader = csv.reader(supplied(), delimiter=separator, skipinitialspace=True, strict=True)
    for record in reader:
        blank = len(record) == 1 and not record[0].strip() and '"' not in last
        yield reader.line_num, [] if blank else record


def _are_spaced_decimals(text: str) -> bool:
    """Whether every line but perhaps the first is of numbers with a decimal comma, set apart by spaces."""
    lines = [line.split() for line in LINE.findall(text) if line.strip()][: 4 * MOST_ABOVE]
    first, rows = lines[0] if lines else [], lines[1:]
    cells = [cell for row in rows for cell in row]
    return (
        len(first) > 1
        and {len(row) for row in rows} == {len(first)}
        and all(map(DECIMALS.fullmatch, cells))
        and 2 * sum("," in cell for cell in cells) > len(cells)
    )


def _by_header(text: str) -> str:
    header = text.lstrip().partition("\n")[0].partition("\r")[0]
    return max(";\t", key=header.count) if "," not in header and ("\t" in header or ";" in header) else ","


def _unless_rival(text: str, whole: bool, plain: Layout, records: Records) -> tuple[Layout, str]:
    """The layout, or that of another separator that all lines fit, with more numbers among its cells.

    It has as many cells, or a larger share of its columns are of numbers: 1,5;2,5 are two of them. The second value is
    what fits as well; a wrong choice is then the user's to see.
    """
    header = next((line for line in LINE.findall(text) if not line.isspace()), "")
    fitting = {plain.separator: records}
    shares = {plain.separator: _count_numbers(records) / len(records[0])}
    for other in SEPARATORS + " " if plain.separator == "\t" else SEPARATORS:
        found = records_of(text, other, whole) if other in header and other not in fitting else None
        width = _width(found or [])
        share = _count_numbers(found) / width if found and width > 1 else 0.0
        if found and (width >= len(records[0]) or share > shares[plain.separator]):
            fitting[other], shares[other] = found, share
    best = max(
        fitting,
        key=lambda separator: (shares[separator], len(fitting[separator][0]), separator == plain.separator),
    )
    return replace(plain, separator=best), "".join(other for other in fitting if other != best)


def _count_numbers(records: Records) -> int:
    """How many columns are of numbers or dates, apart from the header and what is missing."""
    judged = [record[:MOST_JUDGED] for record in records[1:MOST_JUDGED]]
    columns = [{cell.strip() for cell in column} - MISSING for column in zip(*judged, strict=False)]
    return sum(bool(column) and all(map(is_value, column)) for column in columns)


def _width(records: Records) -> int:
    """How many cells every record has; 0 where they differ."""
    widths = {len(record) for record in records}
    return widths.pop() if len(widths) == 1 else 0


def _other_layout(text: str, whole: bool, given: str | None, named: bool = False) -> Layout | None:
    """The layout that all lines fit; without lines above the header, if there is one.

    Among several, the one that needs no excuse, then the one with as many cells as can be. With ``named``, only one
    whose header can be names for as many cells as the lines have, or for all but R's row names.
    """
    most = 1 if text_kind(text) else MOST_ABOVE  # what is above the rows in an ARFF file is no title
    lines = [line for line in LINE.findall(text, 0, SAMPLE) if line][:most]
    start, commented = 0, None
    for above, line in enumerate(lines):
        found = []
        commented_out = all(other.startswith("#") or other.isspace() for other in lines[:above])
        for separator in given or (SEPARATORS + " " if commented_out else SEPARATORS):
            records = records_of(text[start:], separator, whole) if separator in text else None
            layout = records and _fitting(Layout(separator, above), records, lines[:above])
            if layout and records:
                exact = not (layout.unnamed or layout.trailing or layout.spare)
                numeric = 2 * _count_numbers([[], *records]) >= min(len(records[0]), MOST_JUDGED) + (
                    separator == " "
                ) or _are_alike(records)
                of_r = layout.unnamed and 2 * _count_numbers(records) > len(records[0])
                if not named or of_r or (exact and (numeric or _are_names(records[0]))):
                    found.append((exact, separator != " ", len(records[0]), _is_header(records), layout))
        best = max(found, key=lambda one: one[:3], default=None)
        if best and (above == 0 or best[3]):
            return best[4]
        commented = commented or (best and best[4])
        start += len(line)
    return commented


def _fitting(layout: Layout, records: Records, above: Sequence[str]) -> Layout | None:
    """The layout, with what the header lacks, where all records fit it; else None."""
    header, rows = records[0], records[1:]
    width, names = _width(rows), len(header)
    commented = all(line.startswith("#") or line.isspace() for line in above)
    if width == names > 1:
        titles = all(line.count(layout.separator) < max(width - 2, 1) for line in above)
        numeric = 2 * _count_numbers([[], *records]) > min(width, MOST_JUDGED) or _are_alike(records)
        may_be_other = commented and (layout.separator != " " or numeric or _is_header(records))
        return layout if may_be_other or (titles and _is_header(records)) else None
    if not commented or min(width, names) < 2:
        return None
    named = len({row[0] for row in rows}) == len(rows) and _has_numbers([row[1:] for row in rows])
    if layout.separator != " " and width == names + 1 and not any(row[-1].strip() for row in rows):
        return replace(layout, trailing=True)
    if layout.separator != " " and width == names - 1 and not header[-1].strip():
        return replace(layout, spare=True)
    if width == names + 1 and named and _are_names(header):
        return replace(layout, unnamed=True)
    return None


def _are_alike(records: Records) -> bool:
    """Whether so many lines have so many cells each that these are no words, and some column is of numbers."""
    return len(records) >= MANY_LINES and len(records[0]) >= MANY and _count_numbers([[], *records]) > 0


def _is_header(records: Records) -> bool:
    """Whether the first record can be a header only; of many cells, some may be numbers, such as years."""
    header, rows = records[0], records[1:]
    if len(header) >= MANY:
        return bool(header[0].strip()) and not _is_number(header[0])
    return _are_names(header) and _has_numbers(rows)


def _are_names(header: list[str]) -> bool:
    """Whether these can be a header: different texts that are no numbers."""
    names = {name.strip() for name in header}
    return len(names) == len(header) and "" not in names and not any(map(_is_number, names))


def _has_numbers(rows: Records) -> bool:
    """Whether a column is of numbers, apart from what is missing: a text that is above it is then its name."""
    columns = [{cell.strip() for cell in column} - MISSING for column in zip(*rows, strict=True)]
    return any(column and all(map(_is_number, column)) for column in columns)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _nearest(text: str, whole: bool, plain: Layout, records: Records | None) -> Layout:
    """The separator that most lines fit, where no layout fits all: the message on the others is then the right one."""

    def share(found: Records | None) -> float:
        if not found or len(found[0]) < 2:
            return 0.0
        return sum(len(record) == len(found[0]) for record in found) / len(found)

    shares = {other: share(records_of(text, other, whole)) for other in SEPARATORS}
    best = max(shares, key=shares.__getitem__)
    return replace(plain, separator=best) if shares[best] >= 0.5 and share(records) < 0.5 else plain


def _mostly_fitting(text: str, whole: bool, given: str | None) -> Layout | None:
    """The layout that nine in ten lines fit, between titles above the header and notes below the rows.

    None where the separator that most lines fit does not fit so many.
    """
    found = []
    for separator in given or SEPARATORS + " ":
        records = placed_records(text, separator, whole) if separator in text else None
        if records:
            found.append(_around(separator, records, whole))
    if not found:
        return None
    best = max(found, key=lambda one: one[:2])
    if best[2] is None or best[2].separator == " ":  # spaces are in cells too
        others = [one for one in found if one[2] and one[2].separator != " " and one[0] >= NEARLY * best[0]]
        best = max(others, key=lambda one: one[:2], default=best)
    return best[2]


def _around(separator: str, records: Placed, whole: bool) -> tuple[int, int, Layout | None]:
    """How many records have the most frequent number of cells, and that number; and the layout if nearly all do."""
    widths = Counter(len(record) for _, record in records)
    del widths[1]
    width, count = max(widths.items(), key=lambda one: (one[1], one[0]), default=(0, 0))
    first = next((place for place, (_, record) in enumerate(records) if len(record) == width), 0)
    fitting = [record for _, record in records if len(record) == width]
    last = max((place for place, (_, record) in enumerate(records) if len(record) == width), default=0)
    inside = records[first : last + 1 if whole else None]
    odd = len(inside) - _short_below(inside, width) - count
    spare = first > 0 and len(records[first - 1][1]) == width + 1 and not records[first - 1][1][-1].strip()
    wider = any(len(record) > width for _, record in records[: first - spare]) and not is_headed(
        fitting or [[]]
    )
    words = (
        separator == " "
        and 2 * _count_numbers([[], *fitting]) < min(width, MOST_JUDGED)
        and not _is_header(fitting or [[]])
    )
    if count < 2 or first > MOST_TITLES or wider or words or odd > max(1, len(inside) // 10):
        return count, width, None
    layout = Layout(separator, records[first][0])
    before = records[first - 1] if first else (0, [])
    if spare or (len(before[1]) == width - 1 > 1 and _are_names(before[1])):
        layout = _fitting(replace(layout, above=before[0]), [before[1], *fitting], []) or layout
    return count, width, layout


def _short_below(inside: Placed, width: int) -> int:
    """How many records directly under the header have one or two cells only: a legal notice, or the like."""
    count = 0
    while count + 1 < len(inside) and len(inside[count + 1][1]) < min(width, 3):
        count += 1
    return count


def _placed(text: str) -> Layout | None:
    """Columns that begin at the same place in every line."""
    lines = [line.rstrip("\r\n") for line in LINE.findall(text)]
    lines = [line for line in lines if line.strip()]
    places = find_places(lines)
    if len(lines) < FEWEST_LINES or not places:
        return None
    records = records_of(by_places("\n".join(lines).encode(), places).decode(), "\t") or [[]]
    one_name = not any("  " in name for name in records[0])
    is_table = one_name and _are_names(records[0]) and _has_numbers(records[1:])
    return Layout(" ", places=places) if is_table else None


def _with_heading(layout: Layout, text: str, whole: bool, header: bool | None) -> Layout:
    """The same, with where the header is and what is left out around it."""
    lines = LINE.findall(text)
    start = sum(map(len, lines[: layout.above]))
    rest, separator = text[start:], layout.separator
    if layout.places:
        rest, separator = by_places(rest.encode(), layout.places).decode(), "\t"
    placed = placed_records(rest, separator, whole) or []
    if not placed:
        return layout
    first = len(placed[0][1]) + layout.unnamed - layout.spare
    usual = Counter(len(record) for _, record in placed).most_common(1)[0][0]
    width = first if header is not False else usual
    padded = [(record + [""] * width)[:width] for _, record in placed]
    if layout.unnamed or layout.spare or layout.trailing:
        header = True
    found = find_grouped_heading(padded, header)
    begin = placed[found.titles][0] if found.titles else 0
    above = layout.above + begin
    left_out = above - bool(found.groups)
    said = [f"{count_of(left_out, 'line')} above the header left out"] if begin and left_out else []
    told = tuple(what for what in layout.assumed if not (begin and "above the header" in what))
    return replace(
        layout,
        above=above,
        header=found.header,
        below=found.below,
        width=width,
        groups=found.groups,
        assumed=(*told, *said, *found.said),
    )


def _said(layout: Layout, usual: str, rivals: str = "") -> Layout:
    """The same, with what is assumed."""
    name = "columns at fixed places" if layout.places else f"{separator_name(layout.separator)} as separator"
    assumed = {
        name: layout.separator != usual and not rivals,
        f"{name}, though {separator_name(rivals[:1])} fits as well": rivals,
        f"{count_of(layout.above, 'line')} above the header left out": layout.above,
        "row names in the first column, which has no name in the header": layout.unnamed,
        "the empty cell at the end of every line left out": layout.trailing,
        "the empty name at the end of the header left out": layout.spare,
    }
    return replace(layout, assumed=tuple(what for what, is_so in assumed.items() if is_so))


def separator_name(separator: str) -> str:
    """A separator as messages write it.

    >>> separator_name(";"), separator_name("\\t")
    (';', 'tab')
    """
    return {",": "comma", "\t": "tab", " ": "spaces"}.get(separator, separator)
