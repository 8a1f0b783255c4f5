"""Ctrl-C at any moment, also again, and outputs that nobody reads: quiet ends, and what was learned is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.thorough import first_ones, slow

import chainrule as cr
from chainrule.cli import main, train

FULL = Path("/dev/full")
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
HOOK = """
import atexit, os, signal, sys
from chainrule_command import main

class Interrupt:
    '''Sends Ctrl-C when the n-th module is looked for.'''
    left = int(sys.argv.pop(1))
    def find_spec(self, name, path=None, target=None):
        Interrupt.left -= 1
        if Interrupt.left == 0:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
atexit.register(lambda: print('IMPORTS LEFT', Interrupt.left))
sys.exit(main())
"""


def run(arguments, folder, code=HOOK, **more):
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **more,
    )


def imports_of(arguments, folder):
    """How many modules a command looks for."""
    out = run([10**9, *arguments], folder).stdout
    return 10**9 - int(out.split("IMPORTS LEFT")[1])


COMMANDS = [["--help"], ["train", "--help"], ["train", "xnor", "--epochs", "1"], ["inspect", "nothing"]]


@posix
@pytest.mark.parametrize("arguments", [*map(slow, COMMANDS[:-1]), COMMANDS[-1]], ids=" ".join)
def test_ctrl_c_during_imports_ends_quietly(tmp_path, arguments):
    imports_of(arguments, tmp_path)  # the first run compiles, which needs more of them
    count = imports_of(arguments, tmp_path)
    moments = sorted({1, 2, *(1 + i * (count - 1) // 8 for i in range(9))})
    for moment in moments:
        done = run([moment, *arguments], tmp_path)
        assert "Traceback" not in done.stderr, (moment, done.stderr)
        assert done.returncode == 130, (moment, count, done.stderr)


@posix
def test_python_m_chainrule(tmp_path):
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", "chainrule", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"chainrule {cr.__version__}\n"


def test_ctrl_c_that_was_switched_off_stays_so(tmp_path):
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + HOOK
    assert run([5, "--version"], tmp_path, code).returncode == 0


def interrupted_once(function):
    """The function, which Ctrl-C interrupts when it is called first."""
    calls = []

    def replacement(*arguments, **named):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return replacement


TRAIN = ["train", "xnor", "--epochs", "20", "--out", "m.safetensors", "--report", "r.html"]


@pytest.mark.parametrize(
    "where",
    [
        "chainrule.tables.training.score_outputs",
        "chainrule.tables.training.network_outputs",
        "chainrule.tables.model.save_tensors",
    ],
)
def test_a_late_ctrl_c_does_not_lose_the_model(tmp_path, monkeypatch, capsys, where):
    monkeypatch.chdir(tmp_path)
    module, _, name = where.rpartition(".")
    monkeypatch.setattr(where, interrupted_once(getattr(sys.modules[module], name)))
    assert main(TRAIN) == 130
    assert "model:  m.safetensors" in capsys.readouterr().out
    assert cr.load_model("m.safetensors").task == "classification"


@pytest.mark.parametrize("where", ["write_report", "describe_trained"])
def test_ctrl_c_after_the_model_is_saved_ends_the_rest(tmp_path, monkeypatch, capsys, where):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, where, interrupted_once(getattr(train, where)))
    assert main([*TRAIN, "--json"]) == 130
    printed = capsys.readouterr()
    assert "model:  m.safetensors" in printed.err and "no report is written" in printed.err
    assert '"model": "m.safetensors", "report": null' in printed.out
    assert cr.load_model("m.safetensors") and not (tmp_path / "r.html").exists()


@posix
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_nobody_reads_what_training_prints(tmp_path, more, both):
    """``chainrule train ... | head -1``, here with a reader that leaves at once."""
    read, write = os.pipe()
    os.close(read)
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", "chainrule", *TRAIN, *more],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search_path},
        stdout=write,
        stderr=write if both else subprocess.PIPE,
        timeout=600,
        check=False,
    )
    os.close(write)
    assert done.returncode == 0
    assert both or more or done.stderr == b""
    assert cr.load_model(tmp_path / "m.safetensors") and (tmp_path / "r.html").exists()


@posix
def test_nobody_reads_the_predictions(tmp_path):
    assert run([10**9, *TRAIN], tmp_path).returncode == 0
    read, write = os.pipe()
    os.close(read)
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    command = ["predict", "m.safetensors", "xnor", "--out", "/dev/stdout"]
    done = subprocess.run(
        [sys.executable, "-m", "chainrule", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search_path},
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=600,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux's")
@pytest.mark.parametrize(
    "command", ["train iris --no-ensemble --epochs 2", "--help", "inspect model.safetensors"]
)
def test_a_disk_without_room_for_what_is_printed(tmp_path, command):
    """Training goes on and is saved; nothing ends in a traceback."""
    arguments, model = command.split(), tmp_path / "model.safetensors"
    if arguments[0] == "inspect":
        main(
            ["train", "iris", "--no-ensemble", "--epochs", "1", "--out", str(model), "--no-report", "--quiet"]
        )
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "chainrule", *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "Traceback" not in done.stderr
    if arguments[0] == "train":
        assert done.returncode == 0
        assert model.exists()


@posix
def test_sigterm_before_the_command_begins_has_its_status(monkeypatch):
    import signal

    from chainrule import cli

    monkeypatch.setattr(cli, "_status", lambda arguments: os.kill(os.getpid(), signal.SIGTERM))
    assert main([]) == 143


WAKE = """
import os, signal, sys

class Interrupt:
    '''Sends Ctrl-C when the n-th module is looked for after chainrule itself.'''
    left = int(os.environ.pop('INTERRUPT_AFTER'))
    begun = False
    def find_spec(self, name, path=None, target=None):
        Interrupt.begun = Interrupt.begun or name.startswith('chainrule.')
        Interrupt.left -= Interrupt.begun
        if Interrupt.begun and Interrupt.left == 0:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""


def as_module(folder, moment, *arguments):
    """``python -m chainrule``, interrupted while it imports."""
    (folder / "sitecustomize.py").write_text(WAKE)
    search_path = os.pathsep.join([str(folder), *(entry for entry in sys.path if entry)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": search_path, "INTERRUPT_AFTER": str(moment)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@posix
@pytest.mark.parametrize("moment", [3, 4, 40, 300])
def test_ctrl_c_while_python_m_imports_the_package_ends_quietly(tmp_path, moment):
    done = as_module(tmp_path, moment, "-m", "chainrule", "train", "xnor", "--epochs", "1")
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 130


@posix
def test_a_program_that_imports_chainrule_keeps_its_ctrl_c(tmp_path):
    (tmp_path / "mine.py").write_text("import chainrule\n")
    for words in (["mine.py"], ["-m", "mine"], ["-c", "import chainrule"], ["mine.py", "-m", "chainrule"]):
        done = as_module(tmp_path, 40, *words)
        assert "KeyboardInterrupt" in done.stderr, words


@posix
@pytest.mark.parametrize("gap", first_ones([0.003, 0.0, 0.01, 0.03, 0.1]))
def test_a_second_ctrl_c_at_any_time_keeps_the_model_and_says_where_it_is(tmp_path, gap):
    """It only ever costs the report."""
    import signal
    import time

    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    more = ["--epochs", "1000000", "--patience", "1000000", "--checkpoint", "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "chainrule", "train", "iris", *more],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search_path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = tmp_path / "run"
    first = None
    while first is None or checkpoint.stat().st_mtime_ns == first:  # until epochs are being finished
        assert process.poll() is None
        time.sleep(0.02)
        first = first or (checkpoint.stat().st_mtime_ns if checkpoint.exists() else None)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(gap)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "model:  model.safetensors\n" in out
    assert cr.load_model(tmp_path / "model.safetensors").facts.stopped.startswith("interrupted")
    assert ("report: report.html" in out) == (tmp_path / "report.html").exists()
