"""The map in docs/architecture.md is the one that the sources draw."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_site"))

import import_map  # noqa: E402

PAGE = import_map.PAGE.read_text()


def test_the_page_holds_the_map_that_the_sources_draw() -> None:
    fresh = import_map.page_with(PAGE, import_map.drawn())
    assert fresh == PAGE, "run: python docs/_site/import_map.py"


@pytest.mark.parametrize("contract", import_map.contracts(), ids=lambda contract: contract.package)
def test_a_contract_names_every_module_and_nothing_imports_upwards(contract: import_map.Contract) -> None:
    graph = import_map.graph_of(contract.package)
    rank = {name: i for i, layer in enumerate(contract.layers) for name in layer}
    assert rank.keys() == graph.keys()
    upwards = [(name, used) for name, uses in graph.items() for used in uses if rank[used] <= rank[name]]
    assert upwards == []


def test_the_table_of_rooms_stands_from_the_bottom_up() -> None:
    rooms = PAGE.partition("## The rooms")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in rooms.splitlines() if line.startswith("| `")]
    row = {name: i for i, cell in enumerate(cells) for name in re.findall(r"`(\w+)(?:\.py|/)", cell)}
    graph = import_map.graph_of("chainrule")
    upwards = [
        (name, used)
        for name, uses in graph.items()
        for used in uses
        if name in row and used in row
        if row[used] > row[name]
    ]
    assert upwards == []


def test_what_is_imported_for_types_alone_is_no_arrow(tmp_path: Path) -> None:
    source = tmp_path / "example.py"
    source.write_text(
        "from typing import TYPE_CHECKING\nfrom chainrule import tree\n"
        "if TYPE_CHECKING:\n    from chainrule.graph import Node\n"
        "def f():\n    import chainrule.svg\n    from chainrule.ops import reduce\n"
    )
    known = import_map.modules()
    assert import_map.imports_of(source, known) == {"chainrule.tree", "chainrule.svg", "chainrule.ops.reduce"}


def test_the_map_leaves_out_what_follows_from_the_rest() -> None:
    graph = {"top": {"middle", "bottom"}, "middle": {"bottom"}, "bottom": set()}
    assert import_map.reduced(graph) == {"top": {"middle"}, "middle": {"bottom"}, "bottom": set()}
