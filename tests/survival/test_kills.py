"""The short form of ``python -m tests.survival.kills``: some runs, each killed some times and resumed."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which POSIX systems can")
def test_runs_that_are_killed_end_as_if_they_had_not_been():
    """From a process of its own: this one may have threads."""
    command = [sys.executable, "-m", "tests.survival.kills", "--runs", "8", "--minutes", "9"]
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": search_path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["finds"] == found["temporary files left"] == 0
    assert found["equal"] == found["kills"] > 4
