"""Many starts of which the worse ones are dropped: against full runs, whose curves say who had to go."""

import shutil
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.training import executors

pytestmark = pytest.mark.usefixtures("many_cores")


@pytest.fixture
def train(make_model, regression):
    x, y = regression

    def run(restarts, **settings):
        model = make_model(dropout=0.1, batch_norm=True)
        defaults = {
            "optimizer": optim.Adam(0.05),
            "epochs": 7,
            "batch_size": 16,
            "validation": (x[:9], y[:9]),
        }
        return model, cr.fit(
            model, (x, y), loss=nn.squared_error, restarts=restarts, progress=False, **(defaults | settings)
        )

    return run


def who_goes(losses, halving, epochs):
    """For each replica after which epoch it is dropped, from the losses [replicas, epochs] of full runs."""
    dropped = [None] * len(losses)
    for end in range(halving.every, epochs, halving.every):
        alive = [i for i, gone in enumerate(dropped) if gone is None]
        if len(alive) > 1:
            order = sorted(alive, key=lambda i: (losses[i][end - 1], i))
            for i in order[halving.survivors(len(alive)) :]:
                dropped[i] = end
    return dropped


def same_run(one, other, same_state):
    (model, history), (reference, expected) = one, other
    assert history.dropped == expected.dropped
    assert history.best == expected.best
    assert history.stopped == expected.stopped
    same_state(model.state_dict(), reference.state_dict())
    for mine, its in zip(history.replicas, expected.replicas, strict=True):
        assert mine.loss == its.loss and mine.validation_loss == its.validation_loss
        same_state(mine.state, its.state)


@pytest.mark.parametrize("executor", executors.EXECUTORS)
@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("halving", [cr.Halving(9, every=2), cr.Halving(6, keep=0.34, every=1)])
def test_the_worse_ones_go_and_the_others_do_not_notice(train, same_state, executor, validated, halving):
    settings = {"executor": executor} if validated else {"executor": executor, "validation": None}
    model, history = train(halving, **settings)
    _, full = train(halving.restarts, **settings)
    losses = full.validation_loss if validated else full.loss
    assert history.dropped == who_goes(losses, halving, 7)
    for index, (mine, its) in enumerate(zip(history.replicas, full.replicas, strict=True)):
        end = mine.dropped or 7
        assert mine.loss == its.loss[:end]
        assert np.isnan(history.loss[index, end:]).all()
        assert mine.stopped == (f"dropped after epoch {end}" if mine.dropped else "all epochs done")
        if not mine.dropped:
            same_state(mine.state, its.state)
    assert history.dropped[history.best] is None
    same_state(model.state_dict(), history.replicas[history.best].state)


def test_one_is_left(train):
    _, history = train(cr.Halving(8), validation=None)
    assert sorted(history.dropped, key=str) == [1, 1, 1, 1, 2, 2, 3, None]
    assert history.steps == 4 * (4 * 1 + 2 * 2 + 1 * 3 + 1 * 7)
    assert len(history.ensemble().members) == 1


def test_the_ensemble_is_that_of_the_survivors(train, regression):
    _, history = train(cr.Halving(6, every=4))
    members = history.ensemble().members
    assert len(members) == 3
    kept = [replica.state for replica in history.replicas if replica.dropped is None]
    for member, state in zip(members, kept, strict=True):
        assert all((member.state_dict()[name] == value).all() for name, value in state.items())


def test_nothing_is_dropped_at_the_last_epoch(train):
    _, history = train(cr.Halving(4, every=7))
    assert history.dropped == [None] * 4


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_do_not_matter(train, same_state, threads):
    same_run(
        train(cr.Halving(9, every=2), threads=threads), train(cr.Halving(9, every=2), threads=1), same_state
    )


def test_early_stopping_judges_by_the_lowest_loss(train):
    rule = cr.EarlyStopping(patience=2)
    settings = {"optimizer": optim.SGD(0.9), "epochs": 12, "stop": rule}
    _, history = train(cr.Halving(8, every=3), **settings)
    _, full = train(8, **settings)
    lowest = np.array(
        [
            np.minimum.accumulate(replica.validation_loss + [np.inf] * (12 - len(replica.loss)))
            for replica in full.replicas
        ]
    )
    assert history.dropped == who_goes(lowest, cr.Halving(8, every=3), 12)
    ended = [r for r in history.replicas if r.dropped and not r.stopped.startswith("dropped")]
    assert ended  # one that had stopped by itself lost its place later
    assert history.replicas[history.best].score == min(r.score for r in history.replicas if r.dropped is None)


@pytest.mark.parametrize("executor", executors.EXECUTORS)
def test_killed_after_any_epoch(train, tmp_path, same_state, executor):
    halving, path, copies = cr.Halving(5, every=2), tmp_path / "run.safetensors", []
    settings = {"executor": executor, "epochs": 5, "threads": 1, "stop": cr.EarlyStopping(patience=2)}
    expected = train(halving, **settings)

    def keep_what_a_kill_would_leave(epoch):
        copies.append(shutil.copy(path, tmp_path / f"{len(copies)}.safetensors"))

    train(
        halving,
        **settings,
        checkpoint=cr.Checkpoint(path, seconds=0),
        callbacks=[keep_what_a_kill_would_leave],
    )
    assert len(copies) == sum(len(replica.loss) for replica in expected[1].replicas)
    for copy in [*copies, path]:
        resumed = train(halving, **settings, checkpoint=cr.Checkpoint(copy, seconds=1000), resume=True)
        same_run(resumed, expected, same_state)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("replica", "number"), [(0, 1), (3, 2), (4, 3)])
def test_interrupted_and_resumed(train, tmp_path, same_state, capsys, threads, replica, number):
    halving, path = cr.Halving(5, every=2), tmp_path / "run.safetensors"
    expected = train(halving)
    number = min(number, len(expected[1].replicas[replica].loss))

    def cut(epoch):
        if (epoch.replica, epoch.number) == (replica, number):
            raise KeyboardInterrupt

    model, history = train(halving, threads=threads, checkpoint=path, callbacks=[cut])
    assert history.interrupted and "interrupted; the model holds" in capsys.readouterr().err
    assert history.dropped[history.best] is None
    same_state(model.state_dict(), history.replicas[history.best].state)
    for mine, its in zip(history.replicas, expected[1].replicas, strict=False):
        assert mine.loss == its.loss[: len(mine.loss)]
    same_run(train(halving, threads=threads, checkpoint=path, resume=True), expected, same_state)


def test_another_halving_is_another_run(train, tmp_path):
    path = tmp_path / "run.safetensors"
    train(cr.Halving(3), checkpoint=path, epochs=2)
    for other in (3, cr.Halving(3, every=2), cr.Halving(3, keep=0.1)):
        with pytest.raises(SettingError, match="belongs to another run"):
            train(other, checkpoint=path, epochs=2, resume=True)


def test_with_numbers_of_their_own(train, same_state):
    rates = [0.5, 0.05, 0.01, 0.001]
    _, history = train(cr.Halving(4, every=2), optimizer=optim.Adam(rates))
    _, full = train(4, optimizer=optim.Adam(rates))
    assert history.dropped == who_goes(full.validation_loss, cr.Halving(4, every=2), 7)


def test_fewer_are_kept_in_memory_than_began(train, monkeypatch):
    """Whoever is beaten by enough others is out before the round has ended."""
    from chainrule.training.run import Run

    counts, original = [], Run.begin
    monkeypatch.setattr(
        Run, "begin", lambda run, i, t: (original(run, i, t), counts.append(len(run.state.unfinished)))
    )
    train(cr.Halving(12, keep=0.25), threads=1, validation=None)
    assert max(counts) == 4  # the three that may go on, and the one that trains


@pytest.mark.parametrize(
    "settings", [{"restarts": 1}, {"restarts": 2.5}, {"keep": 0}, {"keep": 1}, {"every": 0}, {"keep": "half"}]
)
def test_settings_are_checked(settings):
    with pytest.raises(SettingError):
        cr.Halving(**({"restarts": 8} | settings))


def test_not_for_lbfgs(train):
    with pytest.raises(SettingError, match=r"LBFGS(.|\n)*got: *.*Halving"):
        train(cr.Halving(3), optimizer=optim.LBFGS())


def test_a_replica_is_not_dropped_while_a_callback_looks_at_it(train, same_state):
    """Other threads come through the round meanwhile, and find more replicas than may go on."""

    def slow(epoch):
        if epoch.number == 2:
            time.sleep(0.005)

    halving = cr.Halving(24, keep=0.2, every=2)
    model, history = train(halving, threads=3, callbacks=[slow])
    expected, same = train(halving, threads=1, callbacks=[slow])
    same_state(model.state_dict(), expected.state_dict())
    assert [replica.dropped for replica in history.replicas] == [r.dropped for r in same.replicas]
