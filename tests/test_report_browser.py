"""The report in a real browser: nothing to complain about, nothing wider than the screen, both colour schemes.

Run with ``pytest -m browser -n 0`` where Chromium is installed (``CHROMIUM`` names another program than
``chromium``); elsewhere these tests are deselected, and fail rather than pass when they are asked for.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule.report import render
from chainrule.tables import TrainingSettings, train_table
from chainrule.tables.reporting import make_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The report has no script of its own, so a page around it looks into it.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><style>body {{ margin: 0 }} iframe {{ border: 0 }}</style>
<iframe id="report" src="{name}" width="{width}" height="900"></iframe><pre id="found"></pre>
<script>
document.getElementById("report").onload = event => {{
  const page = event.target.contentDocument, view = event.target.contentWindow;
  for (const part of page.querySelectorAll("details")) part.open = true;
  const wide = [...page.querySelectorAll("body *")].filter(part => {{
    const box = part.getBoundingClientRect();
    return box.width && (box.right > {width} + 0.5 || box.left < -0.5) && !part.closest(".scroll");
  }}).map(part => part.outerHTML.slice(0, 200));
  const small = [...page.querySelectorAll("svg text")].filter(part => part.getBoundingClientRect().height < 8);
  document.getElementById("found").textContent = "<<" + JSON.stringify({{
    scroll: page.documentElement.scrollWidth, wide: wide, small: small.length,
    headings: [...page.querySelectorAll("h2")].map(part => part.textContent),
    ground: view.getComputedStyle(page.body).backgroundColor,
    text: view.getComputedStyle(page.body).color,
    legend: [...page.querySelectorAll(".legend li")].map(part => part.getBoundingClientRect().height),
    broken: [...page.querySelectorAll(".scroll > table:not(.matrix) :is(th, td)")].filter(part => {{
      const lines = page.createRange();
      lines.selectNodeContents(part);
      return /^[^\\s-]{{1,12}}$/.test(part.textContent) && lines.getClientRects().length > 1;
    }}).map(part => part.textContent),
  }}) + ">>";
}};
</script>"""


def browse(page: Path, folder: Path, dark: bool) -> tuple[str, str]:
    """The page's content after it has loaded, and what the browser had to say."""
    program = os.environ.get("CHROMIUM", "chromium")
    assert shutil.which(program), f"{program} is not installed; CHROMIUM names another"
    ran = subprocess.run(
        [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--virtual-time-budget=3000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return ran.stdout, ran.stderr


def looked_at(report: Path, folder: Path, width: int, dark: bool = False) -> dict:
    """What the page around the report measures; no word on the console."""
    page = folder / "frame.html"
    page.write_text(FRAME.format(name=report.name, width=width))
    shown, said = browse(page, folder, dark)
    assert re.findall(r".*CONSOLE.*", said) == []
    found = re.search(r"&lt;&lt;(.*)&gt;&gt;", shown, flags=re.DOTALL)
    assert found, shown[-2000:]
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def wide_table() -> pl.DataFrame:
    """Long names, categories, a target that has nothing to do with the columns."""
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "a_very_long_name_of_a_column_" * 3: rng.normal(size=200),
            "b": rng.choice(["one category with a long name", "another", "<i>"], 200),
            "c": rng.normal(size=200) * 1e12,
            "target": rng.choice(["yes", "no", "perhaps_not_but_who_knows_what_tomorrow_brings"], 200),
        }
    )


@pytest.fixture(scope="module", params=["classes", "numbers"])
def report(request, tmp_path_factory) -> Path:
    frame, settings = wide_table(), TrainingSettings(epochs=30, restarts=3)
    target = "target" if request.param == "classes" else "c"
    trained = train_table(frame, target, settings, "wide.csv")
    path = tmp_path_factory.mktemp("report") / "report.html"
    text = render(make_report(trained, "model.safetensors"))
    assert len(text.encode()) < 2_000_000
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [400, 1000])
def test_nothing_is_wider_than_the_screen(report, width, tmp_path):
    found = looked_at(report, report.parent, width)
    assert found["scroll"] <= width
    assert found["wide"] == []
    assert found["small"] == 0
    assert {"Findings", "Loss", "Which columns matter", "The worst rows"} <= set(found["headings"])


@pytest.mark.parametrize("width", [400, 1000])
def test_legends_are_one_line_and_short_words_are_whole(report, width):
    found = looked_at(report, report.parent, width)
    assert len(found["legend"]) >= 2
    assert max(found["legend"]) < 30
    assert found["broken"] == []


def test_dark_is_dark(report):
    light, dark = (looked_at(report, report.parent, 1000, dark=scheme) for scheme in (False, True))
    assert brightness(light["ground"]) > 240 > 60 > brightness(light["text"])
    assert brightness(dark["ground"]) < 40 < 200 < brightness(dark["text"])


def brightness(colour: str) -> float:
    """The mean of red, green and blue in "rgb(1, 2, 3)"."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_the_console_is_listened_to(tmp_path):
    """The check for complaints can fail."""
    page = tmp_path / "bad.html"
    page.write_text("<script>console.error('a complaint')</script>")
    assert "a complaint" in browse(page, tmp_path, dark=False)[1]
