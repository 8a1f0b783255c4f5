"""What a file is that is not a table of text, told by its first bytes."""

from __future__ import annotations

CSV = "export the table as CSV"
KINDS = (
    (b"%PDF-", "a PDF", "copy the table into a spreadsheet, and save that as CSV"),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        'sqlite3 -header -csv FILE "select * from TABLE" > table.csv',
    ),
    (b"\x7fELF", "a program", "name the file that holds the table"),
    (b"MZ", "a program for Windows", "name the file that holds the table"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook or another document of Office", CSV),
    (b"PAR1", "a Parquet file", "give it a name that ends in .parquet"),
    (b"ARROW1", "an Arrow file", "give it a name that ends in .arrow"),
    (b"\x1f\x8b", "a gzip file", "give it a name that ends in .gz"),
    (b"BZh", "a bzip2 archive", "expand it with bunzip2, and name the file that it gives"),
    (b"\xfd7zXZ\0", "an xz archive", "expand it with unxz, and name the file that it gives"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "expand it with unzstd, and name the file that it gives"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "expand it, and name the file that it gives"),
    (b"Rar!", "a RAR archive", "expand it, and name the file that it gives"),
    (b"\x89PNG", "a picture", CSV),
    (b"\xff\xd8\xff", "a picture", CSV),
    (b"GIF8", "a picture", CSV),
    (b"$FL", "an SPSS file", "write the table as CSV, for instance by pandas.read_spss(...).to_csv(...)"),
    (
        b"<stata_dta",
        "a Stata file",
        "write the table as CSV, for instance by pandas.read_stata(...).to_csv(...)",
    ),
    (
        bytes(12) + b"\xc2\xea\x81\x60",
        "a SAS file",
        "write it as CSV, for instance by pandas.read_sas(...).to_csv(...)",
    ),
    (b"\x89HDF", "an HDF5 file", "write the table as CSV or Parquet"),
    (b"\x93NUMPY", "a NumPy array", "write the array as CSV, with a line of names"),
    (b"RDX", "a file of R's objects", "write.csv(TABLE, 'table.csv') in R"),
    (b"\x80", "a pickle or another file for programs", "write the table as CSV or Parquet"),
)
"""First bytes, what a file is that begins with them and is no text, and what to try."""

HTML = "an HTML page"
PAGE = (
    "save the table itself: the link to the raw or downloadable file, or open the page in a spreadsheet and "
    "save it as CSV"
)
TEXTS = (
    ("<!doctype html", HTML, PAGE),
    ("<html", HTML, PAGE),
    ("<table", HTML, PAGE),
    ("<?xml", "XML", CSV),
    ("{\\rtf", "a document of a text processor", CSV),
    ("%pdf-", "a PDF", "copy the table into a spreadsheet, and save that as CSV"),
    ("@relation", "an ARFF file", CSV),
    ("{", "JSON", "write it as CSV, for instance by pandas.read_json(...).to_csv(...)"),
    ("[", "JSON", "write it as CSV, for instance by pandas.read_json(...).to_csv(...)"),
)
"""First characters in lower case, what a file of text that begins with them may be, and what to try."""


def binary_kind(head: bytes) -> tuple[str, str] | None:
    """What a file is whose first bytes are no text, and what to try; None where they say nothing.

    >>> binary_kind(b"SQLite format 3" + bytes(20))[0]
    'an SQLite database'
    """
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head)
    if head[257:262] == b"ustar":
        return "a tar archive", "expand it with tar -xf, and name the table that it holds"
    return next(((what, hint) for start, what, hint in KINDS if head.startswith(start)), None)


def _zip_kind(head: bytes) -> tuple[str, str]:
    if b"opendocument" in head:
        return "a spreadsheet or another document (OpenDocument)", CSV
    if b"xl/" in head:
        return "an Excel workbook", "export the sheet as CSV (Save as, 'CSV UTF-8')"
    if b"[Content_Types].xml" in head or b"_rels/" in head:
        return (
            "an Excel workbook or another document of Office",
            "export the sheet as CSV (Save as, 'CSV UTF-8')",
        )
    return "a zip archive", "expand it with unzip, and name the table that it holds"


def text_kind(head: str) -> tuple[str, str] | None:
    """What a text is that could not be read as a table, and what to try; None where its beginning says nothing.

    >>> text_kind("  <!DOCTYPE html>")[0]
    'an HTML page'
    """
    begin = head[:200].lstrip().lower()
    return next(((what, hint) for start, what, hint in TEXTS if begin.startswith(start)), None)
