"""The project's own files agree with one another and with what is installed."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
HEAVY = ("sklearn", "scipy", "polars", "rich", "typer", "llvmlite", "torch")


def run_python(code: str, folder: Path) -> str:
    """What the code prints in a child process of its own that imports the chainrule this process would."""
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def fenced_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_import_loads_no_heavy_library(tmp_path: Path) -> None:
    loaded = run_python("import sys, chainrule; print(*sys.modules)", tmp_path).split()
    assert "chainrule" in loaded
    assert sorted({name.partition(".")[0] for name in loaded} & set(HEAVY)) == []


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -E '(.*)' README\.md", script)
    assert pattern is not None
    commands = re.findall(pattern[1], (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert commands == ["pip install '.[test]' && pytest"]
    assert commands[0] not in script


def test_continuous_integration_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_first_command_of_the_readme_trains_a_network() -> None:
    first = fenced_blocks((ROOT / "README.md").read_text(), "sh")[0]
    assert first == "pip install . && chainrule train digits\n"


def test_python_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = fenced_blocks((ROOT / "README.md").read_text(), "python")
    assert blocks
    assert run_python("\n".join(blocks), tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_no_missing_file(document: Path) -> None:
    text = re.sub(
        r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL
    )  # code has no links
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    quoted = re.findall(r"`((?:\.ci|src|tests|docs|benchmarks)(?:/[\w./-]+)?|[\w-]+\.(?:md|toml))`", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [name for name in quoted if not (ROOT / name).exists()]
    assert missing == []


def test_every_page_is_in_the_table_of_contents() -> None:
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")}
    entries = re.findall(r"^[\w/]+$", (docs / "index.md").read_text(), flags=re.MULTILINE)
    assert sorted(entries) == sorted(pages - {"index", "lectures/README"})


def test_every_dependency_has_its_reason_in_contributing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [requirement for group in groups for requirement in group]
    names = {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in requirements} - {"chainrule"}
    table = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| ")]
    explained = {name for line in table for name in re.findall(r"[\w-]+", line.split("|")[1])}
    assert sorted(names - explained) == []


def test_version_of_the_changelog() -> None:
    version = re.search(r'__version__ = "(.*)"', (ROOT / "src/chainrule/_version.py").read_text())
    assert version is not None
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text()


def test_names_that_are_imported_when_used_are_found_by_completion() -> None:
    assert run_python(
        "import chainrule; print(set(chainrule.__all__) <= set(dir(chainrule)))", ROOT
    ).split() == ["True"]


def rooms() -> set[str]:
    """The packages and modules right under chainrule."""
    found = (path for path in (ROOT / "src/chainrule").iterdir() if not path.name.startswith("__"))
    return {path.stem for path in found if path.suffix == ".py" or path.is_dir()}


def test_every_room_has_a_layer() -> None:
    contract, *_ = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    assert sorted(layers) == sorted(f"chainrule.{room}" for room in rooms())


def test_every_room_is_described_in_the_architecture() -> None:
    lines = (ROOT / "docs/architecture.md").read_text().splitlines()
    tables = [line.split("|")[1] for line in lines if line.startswith("| `")]
    described = {name for cell in tables for name in re.findall(r"`(\w+)(?:\.py|/)", cell)}
    assert sorted(rooms() - described) == ["_version"]
