"""What type checkers and editors know of public functions, written from ``functions.py``: ``python -m tests.stubs``.

``namespace.pyi`` has them as functions of whatever becomes a tensor, ``methods.pyi`` as methods of tensors.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import chainrule
from chainrule import functions

PACKAGE = Path(chainrule.__file__).parent
HEAD = '''# Written by `python -m tests.stubs` from functions.py: a test compares.
"""{title}"""

from collections.abc import Sequence

from numpy.typing import DTypeLike

from chainrule.functions import Axis
from chainrule.ops.operators import Operators
from chainrule.tensor import Tensor, TensorLike

'''


def definitions(names: list[str]) -> Iterator[ast.FunctionDef]:
    """The functions of these names, as they stand in ``functions.py``."""
    tree = ast.parse(Path(functions.__file__).read_text())
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return (found[name] for name in names)


def public(annotation: ast.expr) -> str:
    """An annotation as users see it."""
    return re.sub(r"\b(AnyTensor|Operable)\b", "TensorLike", ast.unparse(annotation))


def parameters(node: ast.FunctionDef) -> list[str]:
    """What a function takes, with its defaults where they are plain."""
    arguments = node.args.args
    defaults = [None] * (len(arguments) - len(node.args.defaults)) + node.args.defaults
    rows = []
    for argument, default in zip(arguments, defaults, strict=True):
        value = "" if default is None else f" = {ast.unparse(default) if plain(default) else '...'}"
        rows.append(f"{argument.arg}: {public(argument.annotation)}{value}")
    if node.args.vararg is not None:
        rows.append(f"*{node.args.vararg.arg}: {public(node.args.vararg.annotation)}")
    return rows


def plain(default: ast.expr) -> bool:
    """Whether a default can be written in a stub: a number, a text, None."""
    try:
        ast.literal_eval(default)
    except ValueError:
        return False
    return True


def written(node: ast.FunctionDef, given: list[str], indent: str) -> str:
    """A function's line, with the first line of its docstring."""
    first = ast.get_docstring(node).splitlines()[0]
    return f'{indent}def {node.name}({", ".join(given)}) -> Tensor:\n{indent}    """{first}"""\n'


def stubs() -> dict[str, str]:
    """The text of each file."""
    free = [written(node, parameters(node), "") for node in definitions(list(functions.PUBLIC))]
    names = "".join(f'    "{name}",\n' for name in sorted(functions.PUBLIC))
    namespace = (
        HEAD.format(title="The functions as users call them.").replace(
            "from chainrule.ops.operators import Operators\n", ""
        )
        + f"__all__ = [\n{names}]\n\n"
        + "\n".join(free)
    )
    bound = [
        written(node, ["self", *parameters(node)[1:]], "    ")
        for node in definitions(list(functions.METHODS))
    ]
    title = '    """Arithmetic, and a method for each function whose first operand it is about."""\n\n'
    methods = (
        HEAD.format(title="The functions as methods of tensors.") + "class Methods(Operators):\n" + title
    )
    return {"namespace.pyi": namespace, "methods.pyi": methods + "\n".join(bound)}


if __name__ == "__main__":
    for name, text in stubs().items():
        (PACKAGE / name).write_text(text)
