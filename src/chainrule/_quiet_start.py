"""``python -m chainrule`` imports chainrule before it runs any of the command: Ctrl-C has no traceback then either."""

import sys
from itertools import pairwise


def _is_command_starting() -> bool:
    """Whether Python imports this package in order to run it, and not for somebody else's program."""
    words = sys.orig_argv
    named = "-mchainrule" in words or ("-m", "chainrule") in pairwise(words)
    return named and sys.argv[:1] == ["-m"]  # as Python has it until it has found the module


if _is_command_starting():
    from chainrule_command import end_quietly

    end_quietly()
