"""What a run shows on standard error, and when it keeps quiet."""

import io
import os
import subprocess
import sys

import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training.progress import Display, Epoch, say


@pytest.fixture
def train(make_model, regression):
    def run(**settings):
        defaults = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 3, "batch_size": 16}
        return cr.fit(make_model(), regression, **(defaults | settings))

    return run


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("progress", ["auto", False])
def test_nothing_is_printed_where_there_is_no_terminal(train, capfd, progress):
    train(progress=progress, validation=None)
    assert capfd.readouterr() == ("", "")


def test_nothing_but_errors_reach_a_pipe(tmp_path):
    """In another process, as a script in a log would run."""
    script = """
import numpy as np, chainrule as cr
from chainrule import nn, optim
x = np.ones((4, 1))
cr.fit(nn.MLP([1, 1]), (x, x), loss=nn.squared_error, optimizer=optim.SGD(0.1))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, env=dict(os.environ)
    )
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("progress", ["auto", True])
def test_a_terminal_shows_a_bar(train, monkeypatch, capfd, progress):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    history = train(progress=progress)
    shown = terminal.getvalue()
    assert "3/3" in shown
    assert f"loss {history.loss[0, -1]:.4g}" in shown
    assert "steps/s" in shown
    assert "validation" not in shown
    assert capfd.readouterr().out == ""


def test_progress_true_draws_without_a_terminal(train, regression, capsys):
    history = train(progress=True, validation=regression, restarts=2)
    shown = capsys.readouterr().err
    assert "restart" in shown and "6/6" in shown  # the epochs of both
    last = history.validation_loss[:, -1]
    assert any(f"validation {value:.4g}" in shown for value in last)


def test_the_bar_is_full_in_the_end_though_replicas_ended_early(train, tmp_path, capsys):
    settings = {"progress": True, "restarts": 3, "checkpoint": tmp_path / "run.safetensors"}
    train(callbacks=[lambda epoch: epoch.number == 1 + epoch.replica], **settings)
    assert "9/9" in capsys.readouterr().err
    train(resume=True, **settings)
    assert "9/9" in capsys.readouterr().err


def test_the_bar_is_closed_before_an_interruption_is_told(train, capsys):
    def interrupt(epoch):
        raise KeyboardInterrupt

    train(progress=True, callbacks=[interrupt])
    shown = capsys.readouterr().err
    assert shown.endswith("chainrule: interrupted; the model holds its parameters after epoch 1\n")


def test_the_bar_is_closed_when_an_error_goes_through(train, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def fail(epoch):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        train(progress=True, callbacks=[fail])
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_drawing_is_rare(train, monkeypatch):
    """A redraw takes longer than a step of a small network."""
    from rich.progress import Progress

    drawn = []
    original = Progress.refresh
    monkeypatch.setattr(Progress, "refresh", lambda self: (drawn.append(1), original(self)))
    history = train(progress=True, epochs=40)
    assert len(drawn) <= 4 + 10 * history.seconds
    assert history.steps == 160


def test_a_program_without_a_console(train, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    train(progress="auto")
    say("nobody hears this")


def test_the_line_of_an_epoch():
    epoch = Epoch(2, 9, 0, 1, 0.123456, 0.5, 1.0, 300, 0.25, None)
    assert epoch.describe() == "loss 0.1235  validation 0.5  1,200 steps/s"
    assert Epoch(2, 9, 0, 1, 0.1, None, 1.0, 3, 0.0, None).describe() == "loss 0.1  0 steps/s"


def test_an_unused_display_imports_nothing():
    """rich takes longer to import than a small training run."""
    script = """
import sys
from chainrule.training.progress import Display
with Display(False, 3, 1) as display:
    display.tick()
assert "rich" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    with Display(False, 3, 1) as display:
        assert display._bar is None
