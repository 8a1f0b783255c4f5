"""Ctrl-C at any line of what saves a run leaves no lock held, no temporary file and no signal handler."""

import gc
import signal
import sys

import numpy as np
import pytest
from tests.thorough import slow

import chainrule as cr
from chainrule import files, nn, optim
from chainrule.system import locks, signals, temporaries

WATCHED = {module.__file__ for module in (locks, temporaries, files, signals)}
X = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]


def fit(path, resume):
    return cr.fit(
        nn.Linear(1, 1, seed=0),
        (X, 2 * X),
        loss=nn.squared_error,
        optimizer=optim.SGD(0.1),
        epochs=2,
        seed=0,
        progress=False,
        checkpoint=path,
        resume=resume,
    )


class AtLine:
    """Raises KeyboardInterrupt at the n-th line of the watched modules that is run; counts them."""

    def __init__(self, number):
        self.number, self.count = number, 0
        self.first: dict[tuple[str, int], int] = {}  # where a line is run for the first time

    def __call__(self, frame, event, argument):
        finalising = "__del__" in (
            frame.f_code.co_name,
            frame.f_back.f_code.co_name,
        )  # Python drops what is raised there
        if frame.f_code.co_filename not in WATCHED or finalising:
            return None
        if event == "line":
            self.count += 1
            self.first.setdefault((frame.f_code.co_filename, frame.f_lineno), self.count)
            if self.count == self.number:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self

    def run(self, work):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # what an interrupt leaves open
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("step", [5, slow(1)])
def test_the_run_goes_on_whatever_line_is_interrupted(tmp_path, step):
    """At every line once, when it is first run; in the short form at every fifth."""
    path = tmp_path / "run"
    wanted = fit(path, False)
    counting = AtLine(0)
    counting.run(lambda: fit(path, True))
    assert counting.count > 300
    gc.freeze()  # what is here already is not gone through 200 times
    for number in list(counting.first.values())[::step]:
        AtLine(number).run(lambda: fit(path, True))
        gc.collect()
        history = fit(path, True)  # CheckpointInUseError where a lock is left
        np.testing.assert_array_equal(history.loss, wanted.loss)
        assert [entry.name for entry in tmp_path.iterdir()] == ["run"], number


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
class TestSignalsAfterwards:
    """An interruption may leave a handler behind; it then does what the system does, and the next block takes over."""

    @pytest.fixture(autouse=True)
    def ending(self, monkeypatch):
        """What the system would do, in place of ending this process."""
        ended = []
        system = lambda *_: ended.append(1)
        before = {number: signal.signal(number, system) for number in signals.ENDING}
        monkeypatch.setattr(signal, "SIG_DFL", system)
        yield ended
        monkeypatch.undo()
        for number, handler in before.items():
            signal.signal(number, handler)

    def test_whatever_line_is_interrupted(self, ending):
        def block():
            with signals.caught(ValueError):
                pass

        counting = AtLine(0)
        counting.run(block)
        assert counting.count > 15
        left = 0
        gc.freeze()
        for number in range(1, counting.count + 1):
            AtLine(number).run(block)
            gc.collect()
            left += signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            ending.clear()
            signal.raise_signal(signal.SIGTERM)
            assert ending == [1], number
            AtLine(number).run(block)
            gc.collect()
            with signals.caught(ValueError) as found, pytest.raises(ValueError):
                signal.raise_signal(signal.SIGTERM)
            assert found.number == signal.SIGTERM
            assert all(signal.getsignal(n) is signal.SIG_DFL for n in signals.ENDING), number
        assert left > 0  # some lines do leave one
