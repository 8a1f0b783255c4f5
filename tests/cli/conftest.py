"""Runs commands in this process, in a folder of their own."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from chainrule.cli import main


@dataclass
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def result(self) -> dict:
        """The JSON object on the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")  # so that sentences stay on their line

    def command(*arguments) -> Outcome:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(status, printed.out, printed.err)

    return command


def write_houses(path: Path, rows: int = 200) -> None:
    """A regression with a number, a number with gaps, a category and a truth value."""
    rng = np.random.default_rng(1)
    area, town = rng.uniform(40, 200, rows), rng.choice(["Oslo", "Rome", "Bern"], rows)
    age, garden = rng.integers(0, 90, rows), rng.random(rows) < 0.5
    price = 3 * area + 100 * (town == "Oslo") - age + 50 * garden + rng.normal(0, 5, rows)
    shown = [str(a) if i % 17 else "" for i, a in enumerate(age)]
    lines = [
        f"{a:.1f},{b},{t},{str(g).lower()},{p:.2f}"
        for a, b, t, g, p in zip(area, shown, town, garden, price, strict=True)
    ]
    path.write_text("\n".join(["area,age,town,garden,price", *lines]) + "\n")


@pytest.fixture(scope="session")
def houses(tmp_path_factory):
    """The table, and a model trained on it."""
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder / "houses.csv")
    arguments = ["train", folder / "houses.csv", "--target", "price", "--epochs", 20, "--folds", 3, "--quiet"]
    arguments += ["--out", folder / "houses.safetensors", "--report", folder / "houses.html"]
    assert main([str(argument) for argument in arguments]) == 0
    return folder
