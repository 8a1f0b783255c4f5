"""Nothing stands twice; see tests/duplicates.py."""

from pathlib import Path

from tests.duplicates import Pair, pairs

#: one signature for the settings of layers; the estimators' parameters, which scikit-learn reads off signatures
ALIKE = (
    "nn/layers.py nn/masked.py",
    "estimators/mlp.py",
    "estimators/graph_network.py",
    "estimators/table.py",
)


def test_no_two_places_share_eight_lines() -> None:
    found = [pair for pair in pairs(fewest=8) if not any(name in _files(pair) for name in ALIKE)]
    assert found == []


def _files(pair: Pair) -> str:
    return f"{pair.first.partition(':')[0]} {pair.second.partition(':')[0]}"


def test_a_copy_is_found_with_its_length(tmp_path: Path) -> None:
    body = "".join(f"    x{i} = {i}  # a remark\n" for i in range(9))
    (tmp_path / "one.py").write_text(f'"""One."""\nimport os\n\ndef f():\n    """Text."""\n{body}')
    (tmp_path / "two.py").write_text(f"import os\nimport sys\n\ndef g():\n{body}    y = 1\n")
    (tmp_path / "three.py").write_text("def h():\n    x0 = 0\n    x1 = 1\n")
    assert pairs(tmp_path) == [Pair("one.py:6", "two.py:5", 9)]
