"""What an error says, and whose line it names."""

import inspect

import pytest

from chainrule import errors
from chainrule.errors import ChainruleError, describe_line, place, user_line


def test_text_has_every_part_that_is_known() -> None:
    error = ChainruleError("it broke", expected=3, got=0, where="a.py:1", hint="turn it round")
    assert str(error).splitlines() == [
        "it broke",
        "  expected: 3",
        "  got:      0",
        "  where:    a.py:1",
        "  try:      turn it round",
    ]
    assert str(ChainruleError("it broke")) == "it broke"


def test_every_error_is_a_chainrule_error_and_one_of_pythons() -> None:
    found = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, Exception)]
    assert len(found) > 5
    for error in found:
        assert issubclass(error, ChainruleError)
        assert error is ChainruleError or len(error.__mro__) > len(ChainruleError.__mro__) + 1


def test_user_line_is_this_one() -> None:
    line = user_line()
    assert line is not None and line[0] == __file__
    assert describe_line(line).endswith("line = user_line()")


def test_frames_of_the_package_are_passed_over_and_of_its_neighbours_are_not() -> None:
    for folder, passed in (("", True), ("_tests/", False)):
        path = errors.PACKAGE.rstrip("/\\") + (folder or "/") + "inner.py"
        scope = {"user_line": user_line}
        exec(compile("def inner():\n    return user_line()", path, "exec"), scope)
        assert (scope["inner"]()[0] == __file__) is passed


@pytest.mark.parametrize("line", [None, ("nowhere.py", 3)])
def test_line_without_text(line) -> None:
    assert describe_line(line) == (None if line is None else "nowhere.py:3")


def test_a_line_of_a_notebook_is_a_line_of_its_cell() -> None:
    assert place(("/tmp/ipykernel_7/123.py", 4)) == "line 4 of the cell"
    assert place(("script.py", 4)) == "script.py:4"
