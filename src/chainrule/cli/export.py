"""``chainrule export``: a saved model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli import options
from chainrule.cli.sources import check_place, permissions_from
from chainrule.cli.terminal import Terminal
from chainrule.data.describe import list_some
from chainrule.errors import SettingError
from chainrule.files import irregular
from chainrule.foreign_text import clipped


def export_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=options.MODEL)],
    out: Annotated[Path, options.option("export", "out")] = Path("model.onnx"),
    json: Annotated[bool, options.option("export", "json", "--json")] = False,
) -> None:
    """Write a saved model, with its preprocessing and class names, as ONNX, which other programs run."""
    from chainrule.tables import load_model

    terminal = Terminal(json)
    check_place("--out", out, [str(model)])
    check_ending(out)
    loaded = load_model(model)
    loaded.save_onnx(out, mode=permissions_from(model))
    columns = [column.name for column in loaded.preprocessor.used]
    terminal.say(f"{out}: from {list_some(columns)}, the {loaded.task}'s prediction")
    terminal.finish(
        {"out": str(out), "inputs": columns, "task": loaded.task, "classes": list(loaded.classes)}
    )


def check_ending(out: Path) -> None:
    """SettingError for a name that ends as that of another kind of file."""
    if out.suffix.lower() not in {"", ".onnx"} and not (out.exists() and irregular(out)):
        raise SettingError(
            f"an ONNX model is not written as {clipped(out.suffix)}",
            expected="a name that ends in .onnx",
            got=str(out),
            hint=f"--out {out.with_suffix('.onnx')}",
        )
