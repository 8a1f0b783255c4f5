"""Nested dicts, lists and tuples of arrays, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from chainrule.errors import ShapeError, caller_line

#: an array or tensor, or nested dicts, lists and tuples of them
Nest: TypeAlias = Any


def leaves(tree: object) -> Iterator[Any]:
    """Everything in the tree that is not a dict, list or tuple, in order (of a dict: as it was filled)."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from leaves(value)
    elif tree is not None:
        yield tree


def leaves_like(tree: Nest, like: object) -> Iterator[Any]:
    """The leaves of ``tree`` in the order of ``leaves(like)``; a ShapeError where it is built differently."""
    if isinstance(like, dict):
        _need(isinstance(tree, dict) and tree.keys() == like.keys(), tree, like)
        for key, value in like.items():
            yield from leaves_like(tree[key], value)
    elif isinstance(like, list | tuple):
        _need(isinstance(tree, list | tuple) and len(tree) == len(like), tree, like)
        for part, value in zip(tree, like, strict=True):
            yield from leaves_like(part, value)
    elif like is not None:
        yield tree


def _need(fits: bool, tree: object, like: object) -> None:
    if not fits:
        raise ShapeError(
            "a nested argument is not built like the one that it belongs to",
            expected=_describe(like),
            got=_describe(tree),
            where=caller_line(),
        )


def _describe(tree: object) -> str:
    if isinstance(tree, dict):
        return f"a dict with the keys {', '.join(map(repr, tree))}"
    return f"{len(tree)} parts" if isinstance(tree, list | tuple) else type(tree).__name__


def rebuild(tree: object, values: Iterator[object]) -> Nest:
    """A tree of the same structure whose leaves are taken from ``values`` in order."""
    if isinstance(tree, dict):
        return {key: rebuild(value, values) for key, value in tree.items()}
    if isinstance(tree, list):
        return [rebuild(value, values) for value in tree]
    if isinstance(tree, tuple):
        parts = [rebuild(value, values) for value in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return None if tree is None else next(values)


def map_leaves(function: Callable[[Any], object], tree: object) -> Nest:
    """The tree with ``function`` applied to every leaf."""
    return rebuild(tree, iter([function(leaf) for leaf in leaves(tree)]))


def names(tree: object, prefix: str = "") -> Iterator[str]:
    """Where each leaf stands, in the order of ``leaves``: ``prefix`` and the keys that lead to it."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from names(value, f"{prefix}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from names(value, f"{prefix}[{i}]")
    elif tree is not None:
        yield prefix
