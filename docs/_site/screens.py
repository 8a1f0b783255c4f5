"""Writes ``docs/screens.md``: what ``chainrule train`` shows of three public tables, and pictures of its reports.

``python docs/_site/screens.py FOLDER`` trains on adult.csv, titanic.csv and autos.csv in that folder, whose target is
called y. It needs Chromium (on the PATH, or named by CHROMIUM) and Pillow, which matplotlib brings. ``TABLES=FOLDER
pytest -m tables`` says whether the page still shows what is printed.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE, PICTURES = ROOT / "docs" / "screens.md", ROOT / "docs" / "pictures"
TABLES = {
    "adult": "48 842 people of a census: who earns more than 50 000 dollars a year",
    "titanic": "891 passengers of a ship: who survives",
    "autos": "201 cars with 25 columns: their price",
}
WIDTHS = {1200: 1500, 400: 2000}  # pixels of a picture: how wide, and how much of its height is shown
FRAME = '<body style="margin:0"><iframe src="{}" width="{}" height="{}" style="border:0"></iframe>'
COLOURS = 64
INTRODUCTION = """# Three tables, from the screen to the report

What `chainrule train` prints for three public tables with nothing said but the target, and the beginning of the report
that it writes, on a wide screen and on a phone. The tables are adult and autos of the UCI repository and titanic as
seaborn has it (without `alive`, which gives the answer away); their target is called `y`. Written by
`docs/_site/screens.py`.
"""


def command(name: str) -> str:
    """What is typed."""
    return f"chainrule train {name}.csv --target y"


def screen(name: str, tables: Path, folder: Path) -> str:
    """What the command prints on a terminal of 80 columns; its report is left in the folder."""
    link = folder / f"{name}.csv"
    link.write_bytes((tables / link.name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", *command(name).split()],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    (folder / "report.html").rename(folder / f"{name}.html")
    return done.stdout


def shown(page: str) -> dict[str, str]:
    """The screens that a page shows, by table."""
    found = re.findall(r"```text\n\$ (.*?)\n(.*?)```", page, re.DOTALL)
    return {line.split()[2].removesuffix(".csv"): text for line, text in found}


def photograph(report: Path, width: int, place: Path) -> None:
    """The beginning of a report as a picture; a frame, for a browser's window is 500 pixels wide at least."""
    from PIL import Image

    height = WIDTHS[width]
    frame = report.with_suffix(".frame.html")
    frame.write_text(FRAME.format(report.as_uri(), width, height))
    taken = report.with_suffix(".png")
    subprocess.run(
        [
            os.environ.get("CHROMIUM", "chromium"),
            *("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-background-networking"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--blink-settings=preferredColorScheme=1"),
            f"--user-data-dir={report.parent / 'profile'}",
            f"--window-size={max(width, 500)},{height}",
            f"--screenshot={taken}",
            frame.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with Image.open(taken) as picture:
        small = picture.convert("RGB").crop((0, 0, width, height)).quantize(COLOURS)
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    place.write_bytes(written.getvalue())


def section(name: str, text: str) -> str:
    """A table's part of the page."""
    wide, narrow = (f"pictures/{name}-{width}.png" for width in WIDTHS)
    return (
        f"\n## {name}\n\n{TABLES[name]}.\n\n```text\n$ {command(name)}\n{text}```\n\n"
        f"![The report on {name}, 1200 pixels wide]({wide})\n\n"
        f"![The report on {name}, 400 pixels wide]({narrow})\n"
    )


def write(tables: Path) -> None:
    """Write the page and its pictures."""
    page = INTRODUCTION
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in TABLES:
            page += section(name, screen(name, tables, folder))
            for width in WIDTHS:
                photograph(folder / f"{name}.html", width, PICTURES / f"{name}-{width}.png")
    PAGE.write_text(page)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
