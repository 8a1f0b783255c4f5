"""The command ``chainrule``, which imports nothing at first, so that Ctrl-C ends it without a traceback at any moment.

It stands beside the package, for importing that takes a fifth of a second.
"""

INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit status; Ctrl-C during its imports ends the process at once."""
    ours = False
    try:
        import signal

        ours = end_quietly()
        from chainrule.cli import main as run

        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run()
    except KeyboardInterrupt:
        status = INTERRUPTED
    if ours:  # what is left to do is to end
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return status


def end_quietly() -> bool:
    """Have Ctrl-C end the process at once, until somebody handles it; whether it does.

    It does not where the program wants Ctrl-C otherwise.
    """
    import signal

    ours = signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _leave)
    if ours:
        signal.signal(signal.SIGINT, _leave)
    return ours


def _leave(*ignored: object) -> None:
    """End the process: an exception in the middle of a library's import may come out as any other one."""
    import os

    os._exit(INTERRUPTED)
