"""Switches a model to inference for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainrule.nn.module import Module


@contextmanager
def at_inference(model: Module) -> Iterator[None]:
    """Switch a model to inference inside the block; every part of it returns to its own mode afterwards."""
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
