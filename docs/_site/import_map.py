"""Draws the map of who imports whom in ``docs/architecture.md`` from the sources. Needs no Sphinx.

``python docs/_site/import_map.py`` writes the map into the page; a test fails while the page holds another one.
"""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- the map begins: written by docs/_site/import_map.py -->", "<!-- the map ends -->"

Graph = Mapping[str, set[str]]


@dataclass(frozen=True)
class Contract:
    """The layers of one package, highest first, as pyproject.toml has them."""

    name: str
    package: str
    layers: list[list[str]]


def contracts() -> list[Contract]:
    """Every contract that import-linter checks."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found = []
    for contract in tool["contracts"]:
        package = contract.get("containers", ["chainrule"])[0]
        layers = [
            [name.strip().removeprefix(f"{package}.") for name in layer.split("|")]
            for layer in contract["layers"]
        ]
        found.append(Contract(contract["name"], package, layers))
    return found


def modules() -> dict[str, Path]:
    """Every module of chainrule, by its dotted name."""
    found = {}
    for path in sorted((SOURCES / "chainrule").rglob("*.py")):
        name = ".".join(path.relative_to(SOURCES).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports_of(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The modules of chainrule that a file imports, inside functions too; for types alone does not count."""
    found = set()
    for node in _running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in members}
    return found & known.keys()


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _running(node)


def graph_of(package: str) -> dict[str, set[str]]:
    """Which children of a package import which of their siblings."""
    known, depth = modules(), package.count(".") + 2
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        own = name.split(".")[:depth]
        if ".".join(own[:-1]) != package or own[-1] == "__main__":
            continue
        siblings = {other.split(".")[depth - 1] for other in _inside(imports_of(path, known), package)}
        graph.setdefault(own[-1], set()).update(siblings - {own[-1]})
    return graph


def _inside(names: set[str], package: str) -> set[str]:
    return {name for name in names if name.startswith(f"{package}.")}


def reduced(graph: Graph) -> dict[str, set[str]]:
    """Without what a module reaches through another one: the fewest arrows that say the same."""
    below = {name: _reached(graph, name) for name in graph}
    return {
        name: {x for x in uses if not any(x in below.get(other, ()) for other in uses if other != x)}
        for name, uses in graph.items()
    }


def _reached(graph: Graph, start: str) -> set[str]:
    """Everything that a module imports, directly or not."""
    found: set[str] = set()
    stack = list(graph[start])
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(graph.get(name, ()))
    return found


def drawn() -> str:
    """The map: for each contract its layers, the modules in them, and what these build on."""
    blocks = []
    for contract in contracts():
        graph = reduced(graph_of(contract.package))
        lines = [f"### `{contract.package}`: {contract.name}", "", "| module | builds on |", "|---|---|"]
        for layer in contract.layers:
            lines += [f"| `{name}` | {_listed(graph.get(name, set()))} |" for name in layer]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def page_with(text: str, drawing: str) -> str:
    """The page with the map in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{drawing}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text(), drawn()))
