"""The commands of the README work as they are typed, in a fresh folder, and print what the README shows."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NUMBER = re.compile(r"-?\d[\d.,e+-]*")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands():
    """Those of the shell blocks that need no installation, without comments."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines = [part.strip() for line in lines for part in line.split("#")[0].split("&&")]
    return [line for line in lines if line.startswith(("chainrule ", "python -c "))]


def typed(line, folder):
    """Run a line as a shell would, with this Python and this chainrule."""
    program, *arguments = shlex.split(line)
    module = ["-m", "chainrule"] if program == "chainrule" else []
    return subprocess.run(
        [sys.executable, *module, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "COLUMNS": "80",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder in which all commands ran one after the other, and what each printed."""
    folder = tmp_path_factory.mktemp("readme")
    return folder, [typed(line, folder) for line in commands()]


@pytest.mark.slow
def test_the_commands_run_one_after_the_other_in_a_fresh_folder(runs):
    assert [line.split()[:2] for line in commands()] == [
        ["chainrule", "train"],
        ["python", "-c"],
        ["chainrule", "train"],
        ["chainrule", "predict"],
        ["chainrule", "inspect"],
        ["chainrule", "export"],
    ]
    folder, printed = runs
    for line, done in zip(commands(), printed, strict=True):
        assert (done.returncode, done.stderr) == (0, ""), (line, done.stderr)
    made = {entry.name for entry in folder.iterdir()}
    assert made >= {
        "model.safetensors",
        "report.html",
        "predictions.csv",
        "diabetes.safetensors",
        "diabetes.onnx",
    }


@pytest.mark.slow
def test_the_screen_of_the_readme_is_that_of_the_first_command(runs):
    """Word by word, but for numbers: how long they are, on a kind of processor, moves the ends of lines."""
    (shown,) = blocks("text")
    printed = runs[1][0].stdout

    def outline(text):
        words = NUMBER.sub("N", text.replace("#", "")).split()
        return [re.sub(r"pixel_\w+", "pixel", word) for word in words]

    assert outline(printed) == outline(shown)


def test_no_line_of_the_readme_is_wider_than_a_screen():
    assert max(len(line) for line in blocks("text")[0].splitlines()) <= 80
