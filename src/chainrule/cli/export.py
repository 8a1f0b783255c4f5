"""``chainrule export``: a saved model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.sources import check_place
from chainrule.cli.terminal import Terminal
from chainrule.data.describe import list_some


def export_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that chainrule train saved.")],
    out: Annotated[Path, typer.Option(help="Where the ONNX file is written.")] = Path("model.onnx"),
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Write a saved model, with its preprocessing and class names, as ONNX, which other programs run."""
    from chainrule.tables import load_model

    terminal = Terminal(json)
    check_place("--out", out, [str(model)])
    loaded = load_model(model)
    loaded.save_onnx(out)
    columns = [column.name for column in loaded.preprocessor.used]
    terminal.say(f"{out}: from {list_some(columns)}, the {loaded.task}'s prediction")
    terminal.finish(
        {"out": str(out), "inputs": columns, "task": loaded.task, "classes": list(loaded.classes)}
    )
