"""Replicas together: each row predicted by those that did not train on it, and all of them as one model."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pandas
import pytest
import scipy.sparse
from scipy.special import expit, softmax

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import DataError, SettingError
from chainrule.training import History, Replica, TrainingWarning

COUNT = 60


def smoothed(prediction, target):
    return nn.cross_entropy(prediction, target, label_smoothing=0.1)


def by_hand(prediction, target):
    return -cr.mean(cr.sum(cr.one_hot(target, 3) * cr.log_softmax(prediction), -1))


def tempered(prediction, target):
    return nn.cross_entropy(prediction / 2.0, target)


def of_a_reference_class(prediction, target):
    return nn.cross_entropy(nn.with_reference_class(prediction), target)


def poisson(prediction, target):
    rate = cr.softplus(prediction)
    return cr.mean(rate - target * cr.log(rate + 1e-3))


def in_one_column(prediction, target):
    return nn.binary_cross_entropy(prediction, target[:, 0])


#: what each loss says of the outputs, how many there are, and the targets
LOSSES = {
    nn.cross_entropy: ("class logits", 3, "labels"),
    smoothed: ("class logits", 3, "labels"),
    by_hand: ("class logits", 3, "labels"),
    nn.focal_cross_entropy: ("class logits", 3, "labels"),
    nn.binary_cross_entropy: ("logits", 1, "truths"),
    nn.binary_focal_cross_entropy: ("logits", 1, "truths"),
    in_one_column: ("logits", 1, "truths"),
    nn.squared_error: ("numbers", 2, "numbers"),
    nn.huber: ("numbers", 2, "numbers"),
    tempered: ("numbers", 3, "labels"),
    of_a_reference_class: ("numbers", 2, "labels"),
    poisson: ("numbers", 1, "truths"),
}


def data(kind):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, COUNT)
    x = (rng.normal(size=(COUNT, 4)) + 2 * np.eye(4)[labels]).astype(np.float32)
    return x, {
        "labels": labels,
        "truths": (labels[:, None] > 0).astype(np.float32),
        "numbers": x[:, :2] ** 2,
    }[kind]


def train(loss=nn.cross_entropy, rows=None, x=None, **settings):
    _, outputs, target = LOSSES[loss]
    given, y = data(target)
    rows = cr.folds(COUNT, 5) if rows is None else rows
    restarts = len(rows) if isinstance(rows, list) else 1
    defaults = {"optimizer": optim.Adam(0.03), "epochs": 5, "batch_size": 16, "restarts": restarts}
    model = nn.MLP([4, 6, outputs], batch_norm=True, dropout=0.2, seed=0)
    x = given if x is None else x
    return x, model, cr.fit(model, (x, y), loss=loss, rows=rows, progress=False, **defaults | settings)


def one_by_one(history, model, x):
    """What every replica predicts of all rows, [replicas, rows, outputs]: outputs or probabilities."""
    made = {"class logits": lambda z: softmax(z, -1), "logits": expit, "numbers": np.asarray}
    outputs = []
    for replica in history.replicas:
        model.load_state_dict(replica.state)
        outputs.append(made[history.output_kind](model.predict(x).astype(np.float64)))
    return np.array(outputs)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_the_loss_says_what_is_averaged(loss):
    x, model, history = train(loss)
    assert history.output_kind == LOSSES[loss][0]
    ensemble = history.ensemble()
    assert ensemble.averages == ("outputs" if history.output_kind == "numbers" else "probabilities")
    assert ensemble.averages in repr(ensemble)
    each = one_by_one(history, model, x)
    made = {"class logits": lambda z: softmax(z, -1), "logits": expit, "numbers": np.asarray}
    joint = made[history.output_kind](ensemble.predict(x).astype(np.float64))
    np.testing.assert_allclose(joint, each.mean(0), rtol=2e-5, atol=1e-6)
    if history.output_kind != "numbers":  # the mean of logits would be something else
        assert np.abs(joint - made[history.output_kind](one_by_one_logits(history, model, x))).max() > 1e-4


def one_by_one_logits(history, model, x):
    outputs = []
    for replica in history.replicas:
        model.load_state_dict(replica.state)
        outputs.append(model.predict(x))
    return np.mean(outputs, 0)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_each_row_is_predicted_by_the_replicas_that_did_not_see_it(loss):
    x, model, history = train(loss, rows=cr.folds(COUNT, 3, repeats=2))
    found = history.out_of_fold()
    assert found.dtype == np.float64
    each = one_by_one(history, model, x)
    assert found.shape == each.shape[1:]
    for row in range(COUNT):
        those = [r for r, fold in enumerate(history.folds) if row not in fold.train]
        assert len(those) == 2
        np.testing.assert_allclose(found[row], each[those, row].mean(0), rtol=1e-5, atol=1e-7)


def test_a_row_of_its_own_does_not_help_its_prediction():
    """Labels that are noise are learned by heart, and out of fold predicted no better than by chance."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 20)).astype(np.float32), rng.integers(0, 2, 200)
    model = nn.MLP([20, 64, 2], seed=0)
    settings = {"loss": nn.cross_entropy, "optimizer": optim.Adam(0.01), "epochs": 60, "batch_size": 32}
    history = cr.fit(model, (x, y), rows=cr.folds(200, 4, stratify=y), restarts=4, **settings)
    by_heart = (history.ensemble().predict(x).argmax(1) == y).mean()
    out_of_fold = (history.out_of_fold().argmax(1) == y).mean()
    assert by_heart > 0.95
    assert 0.35 < out_of_fold < 0.65


def test_extreme_logits_keep_their_probabilities():
    members = [nn.Linear(1, 2, seed=0), nn.Linear(1, 2, seed=1)]
    for member, logit in zip(members, (800.0, -800.0), strict=True):
        member.weight.data[...] = 0
        member.bias.data[...] = [logit, 0]
    ensemble = cr.training.Ensemble(members, "class logits")
    np.testing.assert_allclose(
        softmax(ensemble.predict(np.zeros((1, 1), np.float32)), -1), [[0.5, 0.5]], rtol=1e-6
    )
    binary = cr.training.Ensemble(members, "logits").predict(np.zeros((1, 1), np.float32))
    np.testing.assert_allclose(expit(binary.astype(np.float64)), [[0.5, 0.5]], atol=1e-6)


def test_the_ensembles_outputs_go_into_the_loss_that_trained_it():
    x, _, history = train()
    y = data("labels")[1]
    ensemble = history.ensemble()
    joint = nn.cross_entropy(ensemble(x), y).item()
    assert joint == pytest.approx(
        -np.log(softmax(ensemble.predict(x), -1)[np.arange(COUNT), y]).mean(), rel=1e-5
    )
    nn.cross_entropy(ensemble(x), y).backward()
    assert all(p.grad is not None for p in ensemble.parameters())


def test_rows_that_nobody_left_out_are_nan_with_a_warning():
    everything = np.arange(COUNT)
    rows = [(everything[10:], everything[:5]), (everything[5:], everything[:5])]
    _, _, history = train(rows=rows)
    with pytest.warns(TrainingWarning, match="50 of 60 rows, such as row 10, are NaN out of fold") as told:
        found = history.out_of_fold()
    assert told[0].filename == __file__
    assert np.isnan(found[10:]).all()
    assert np.isfinite(found[:10]).all()  # the rows from 5 on: in neither part of the first replica


def test_nobody_left_anything_out():
    _, _, history = train(rows=[(np.arange(COUNT), None)] * 2)
    with pytest.raises(SettingError, match="every replica trained on all rows"):
        history.out_of_fold()


def test_replicas_that_were_dropped_or_diverged_do_not_predict():
    rows = cr.folds(COUNT, 4)
    _, _, history = train(rows=rows, restarts=cr.Halving(4, every=2))
    with pytest.warns(TrainingWarning, match="45 of 60 rows"):
        found = history.out_of_fold()
    assert np.array_equal(np.flatnonzero(np.isfinite(found[:, 0])), rows[history.best].validation)
    with pytest.warns(TrainingWarning, match="replica 1 diverged"):
        _, _, history = train(nn.squared_error, rows=rows, optimizer=optim.SGD([0.01, 1e20, 0.01, 0.01]))
    with pytest.warns(TrainingWarning, match="15 of 60 rows"):
        found = history.out_of_fold()
    assert np.array_equal(np.flatnonzero(np.isnan(found[:, 0])), rows[1].validation)


def test_after_an_interruption_the_replicas_that_were_trained_predict():
    def interrupt(epoch):
        if epoch.replica == 2:
            raise KeyboardInterrupt

    rows = cr.folds(COUNT, 5)
    _, _, history = train(rows=rows, callbacks=[interrupt], threads=1)
    assert history.interrupted
    assert history.not_begun == 2
    with pytest.warns(TrainingWarning, match="24 of 60 rows"):
        found = history.out_of_fold()
    left = np.sort(np.concatenate([fold.validation for fold in rows[3:]]))
    assert np.array_equal(np.flatnonzero(np.isnan(found[:, 0])), left)


def test_a_model_alone_on_some_of_the_rows():
    x, model, history = train(rows=cr.folds(COUNT, 5)[:1])
    with pytest.warns(TrainingWarning, match="48 of 60 rows"):
        found = history.out_of_fold()
    held = history.folds[0].validation
    np.testing.assert_allclose(found[held], softmax(model.predict(x[held]), -1), rtol=1e-6)


def test_the_model_is_left_alone():
    x, model, history = train()
    before = model.predict(x)
    history.out_of_fold()
    np.testing.assert_array_equal(model.predict(x), before)


def test_of_a_sparse_matrix(monkeypatch):
    x = data("labels")[0] * (np.random.default_rng(1).random((COUNT, 4)) < 0.7)
    _, _, dense = train(x=x)
    _, _, sparse = train(x=scipy.sparse.csr_array(x))
    np.testing.assert_allclose(sparse.out_of_fold(), dense.out_of_fold(), rtol=1e-5)
    monkeypatch.setattr("chainrule.training.out_of_fold._CELLS_AT_ONCE", 12)  # three rows at a time
    np.testing.assert_allclose(sparse.out_of_fold(), dense.out_of_fold(), rtol=1e-5)


def test_a_history_from_a_pickle_takes_the_inputs_again():
    x, _, history = train()
    again = pickle.loads(pickle.dumps(history))
    assert x.tobytes() not in pickle.dumps(history)
    with pytest.raises(SettingError, match="does not hold the X"):
        again.out_of_fold()
    np.testing.assert_array_equal(again.out_of_fold(x), history.out_of_fold())
    with pytest.raises(SettingError, match="not the one that the replicas were trained on"):
        again.out_of_fold(x[:50])
    with pytest.raises(SettingError, match="not the one"):
        again.out_of_fold(x[0])


def test_histories_without_folds_or_model():
    x, y = data("numbers")
    history = cr.fit(nn.Linear(4, 2), (x, y), loss=nn.squared_error, optimizer=optim.SGD(0.01), epochs=1)
    with pytest.raises(SettingError, match="trained on the same rows"):
        history.out_of_fold()
    with pytest.raises(SettingError, match="no model to build predictions from"):
        History([Replica()], folds=cr.folds(60, 5), inputs=x).out_of_fold()


def test_nothing_is_copied():
    """20 MB of rows, of which eight replicas train on seven eighths each."""
    x = np.random.default_rng(0).normal(size=(50_000, 100)).astype(np.float32)
    y = x[:, :1].copy()
    rows = cr.folds(len(x), 8)
    tracemalloc.start()
    try:
        history = cr.fit(
            nn.Linear(100, 1),
            (x, y),
            loss=nn.squared_error,
            optimizer=optim.SGD(1e-3),
            epochs=1,
            restarts=8,
            rows=rows,
            threads=2,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.shares_memory(history.inputs, x)
    assert peak < 12e6  # row numbers in the order of visits among them


def pair(train=range(50), validation=range(50, 60)):
    return train, validation


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([pair()] * 3, {"restarts": 2}, "one set of rows for each of the 2 replicas"),
        ([pair()] * 3, {"restarts": cr.Halving(2)}, "one set of rows for each of the 2 replicas"),
        ([], {"restarts": 2}, "one set of rows for each of the 2 replicas"),
        (5, {"restarts": 1}, r"rows\[0\] is no set of rows"),
        ([range(50)], {}, r"rows\[0\] is no set of rows"),
        ([(1, 2)], {}, r"rows\[0\] is no set of rows"),
        (["ab"], {}, r"rows\[0\] is no set of rows"),
        ([pair([], [1])], {}, r"rows\[0\].train has no rows"),
        ([pair(np.zeros(60, bool))], {}, r"rows\[0\].train has no rows"),
        ([pair(np.ones(59, bool))], {}, r"rows\[0\].train: a mask has a truth value for each row"),
        ([pair([0, 60])], {}, r"rows\[0\].train: X has no such row"),
        ([pair([0, -1])], {}, r"rows\[0\].train: X has no such row"),
        ([pair(range(9), [60])], {}, r"rows\[0\].validation: X has no such row"),
        ([pair([0.0, 1.0])], {}, r"rows\[0\].train must be row numbers"),
        ([pair([[0, 1]])], {}, r"rows\[0\].train must be row numbers"),
        ([pair(["a"])], {}, r"rows\[0\].train must be row numbers"),
        (
            [pair(), pair(range(9), range(8, 12))],
            {},
            r"rows\[1\]: rows to train on are also rows to validate with",
        ),
        ([pair(), pair(range(9), None)], {}, r"rows\[1\] has no validation rows"),
        ([pair(), pair(range(9), [])], {}, r"rows\[1\] has no validation rows"),
        ([pair()], {"validation": data("labels")}, "validation gives others"),
    ],
)
def test_rows_that_cannot_be(rows, settings, message):
    with pytest.raises(SettingError, match=message) as caught:
        train(rows=rows, **settings)
    assert "\n" in str(caught.value)


def test_missing_row_numbers():
    with pytest.raises(DataError, match=r"rows\[0\].train: 1 value is missing"):
        train(rows=[([1, None], [2])])


def test_rows_come_in_many_forms():
    fold = cr.folds(COUNT, 5)[0]
    mask = np.zeros(COUNT, bool)
    mask[fold.train] = True
    forms = [
        fold,
        (fold.train, fold.validation),
        [fold.train.tolist(), fold.validation.tolist()],
        (mask, ~mask),
        (mask.tolist(), (~mask).tolist()),
        (pandas.Series(mask), pandas.Series(~mask)),
        (fold.train.astype(np.uint16), pandas.Index(fold.validation)),
    ]
    first, *others = [train(rows=[form] * 2, seed=1)[2] for form in forms]
    for other in others:
        np.testing.assert_array_equal(other.validation_loss, first.validation_loss)
        np.testing.assert_array_equal(other.loss, first.loss)
    generator = train(rows=(form for form in forms[:2]), restarts=2, seed=1)[2]
    np.testing.assert_array_equal(generator.loss, first.loss)


def test_folds_of_scikit_learn_are_taken_as_they_are():
    from sklearn.model_selection import ShuffleSplit

    rows = list(ShuffleSplit(3, test_size=0.3, random_state=0).split(np.zeros(COUNT)))
    _, _, history = train(rows=rows)
    assert [len(fold.train) for fold in history.folds] == [42] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history.out_of_fold()


def test_a_checkpoint_belongs_to_its_rows(tmp_path):
    path = tmp_path / "run.npz"
    train(checkpoint=path)
    with pytest.raises(SettingError, match="belongs to another run"):
        train(checkpoint=path, resume=True, rows=cr.folds(COUNT, 5, seed=1))


def test_what_went_wrong_names_rows_of_the_shared_x():
    x, y = data("numbers")
    ones = nn.initialisers.constant(1.0)
    bad = nn.Sequential(nn.Linear(4, 2, weight_initialiser=ones), Faulty())
    rows = [(np.arange(40, 60), np.arange(40))]
    x[50:] += 100
    with pytest.raises(cr.errors.NonFiniteError, match="rows affected: 5") as caught:
        cr.fit(
            bad,
            (x, y),
            loss=nn.squared_error,
            optimizer=optim.SGD(1e-9),
            rows=rows,
            batch_size=20,
            nonfinite="raise",
            shuffle=False,
        )
    assert "rows of the minibatch: 40, 41" in str(caught.value)


class Faulty(nn.Module):
    """The logarithm of a number that is 0 where an output is large."""

    def forward(self, x):
        return cr.log(cr.relu(30.0 - cr.abs(x)))


def test_full_batch_training_by_its_own_rows():
    x, y = data("numbers")
    rows = cr.folds(COUNT, 3)
    settings = {"loss": nn.squared_error, "optimizer": optim.LBFGS(max_iterations=5), "restarts": 3}
    history = cr.fit(nn.MLP([4, 3, 2]), (x, y), rows=rows, **settings)
    for index, fold in enumerate(rows):
        alone = cr.fit(
            nn.MLP([4, 3, 2]),
            (x[fold.train], y[fold.train]),
            validation=(x[fold.validation], y[fold.validation]),
            **settings,
        ).replicas[index]
        assert history.replicas[index].loss == alone.loss
        assert history.replicas[index].validation_loss == alone.validation_loss
