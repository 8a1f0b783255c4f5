"""Ensembles on tables: every row trains and every row judges, and no row is judged by a network that it trained."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss
from tests.thorough import slow

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import load_bundled
from chainrule.errors import ModelFileError, SettingError
from chainrule.files import load_tensors, save_tensors
from chainrule.report import render
from chainrule.tables import Recipe, TrainingSettings, load_model, prepare, train, train_table
from chainrule.tables.importance import _gained, features_of_columns, losses_of_rows
from chainrule.tables.linear import linear_predictions
from chainrule.tables.mixture import Mixture, SideBySide
from chainrule.tables.objective import loss_of
from chainrule.tables.out_of_fold import OutOfFold
from chainrule.tables.recipe import SIZES
from chainrule.tables.reporting import make_report
from chainrule.tables.scaling import RobustScaling
from chainrule.tables.shares import find_shares, mixed
from chainrule.tables.temperature import find_temperature
from chainrule.training import fit

LARGE = {"hidden": (128, 128), "dropout": 0.0, "weight_decay": 0.01}
QUICK = Recipe({"epochs": 12, "hidden": (32,), "folds": 4})


def table(task, rows=240, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    signal = x[:, 0] + np.sin(2 * x[:, 1])
    target = np.where(signal > 0.3, "yes", "no") if task == "classification" else 5 + 3 * signal
    kinds = rng.choice(["a", "b"], rows)
    return pl.DataFrame({"one": x[:, 0], "two": x[:, 1], "three": x[:, 2], "kind": kinds, "y": target})


@pytest.fixture(scope="module", params=["classification", "regression"])
def trained(request):
    return train_table(table(request.param), "y", QUICK)


def test_no_row_is_judged_by_a_network_that_it_trained():
    """Targets are noise, which a network can only remember: it is right on rows that it has seen, and on no others."""
    rng = np.random.default_rng(1)
    rows = 200
    noise = pl.DataFrame({f"x{i}": rng.normal(size=rows) for i in range(30)}).with_columns(
        y=pl.Series(rng.integers(0, 2, rows)).cast(pl.String)
    )
    trained = train_table(
        noise, "y", Recipe({**LARGE, "epochs": 30, "patience": 30, "folds": 4, "embedding": "none"})
    )
    known = np.mean(trained.model.predict(noise).values.cast(pl.String).to_numpy() == noise["y"].to_numpy())
    assert trained.score.scored_on == "out-of-fold"
    assert trained.score.rows == rows
    assert abs(trained.score.value - 0.5) < 0.15
    assert known > trained.score.value + 0.2  # three of four networks have seen each row


def said_by_hand(trained, networks, shares, features):
    """The mean of the networks' log-probabilities or numbers, by NumPy."""
    outputs = np.stack([network.predict(features) for network in networks]).astype(float)
    if trained.model.classes:
        outputs = np.log(np.exp(outputs) / np.exp(outputs).sum(-1, keepdims=True))
    mean = np.tensordot(np.array(shares) / np.sum(shares), outputs, 1)
    return mean / trained.out_of_fold.temperature


def test_each_row_is_scored_by_the_networks_of_its_fold(trained):
    features, y = trained.prepared.training.features, trained.prepared.frame["y"].to_numpy()
    shares = [share for _, share in trained.model.architecture.answering]
    expected = np.full((len(y), len(trained.model.classes) or 1), np.nan)
    for i, fold in enumerate(trained.history.folds):
        own = trained.model.network.members[i * len(shares) : (i + 1) * len(shares)]
        expected[fold.validation] = said_by_hand(trained, own, shares, features[fold.validation])
    if trained.model.classes:
        found = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
        found = trained.model.unsmoothing.probabilities(found)
        assert trained.score.value == accuracy_score(y, np.array(trained.model.classes)[found.argmax(1)])
        assert {m.name: m.value for m in trained.metrics}["log loss"] == pytest.approx(
            log_loss(y, found), rel=1e-4
        )
    else:
        target = trained.model.preprocessor.target
        found = expected[:, 0] * target.standard_deviation + target.mean
    assert trained.scored.predicted == pytest.approx(found, rel=1e-4, abs=1e-5)


def test_the_model_says_what_its_networks_say_together(trained):
    features, members = trained.prepared.training.features, trained.model.network.members
    together = trained.model.network.predict(features)
    shares = [share for _, share in trained.model.architecture.answering] * 4
    assert together == pytest.approx(said_by_hand(trained, members, shares, features), abs=1e-4)


def test_networks_side_by_side_are_each_what_they_are_alone():
    """The gradient of each is that of its own loss, so that trained in the same steps they come out as alone."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)).astype(np.float32), rng.normal(size=(64, 1)).astype(np.float32)
    settings, target = (
        TrainingSettings(task="regression"),
        prepare(table("regression"), "y").preprocessor.target,
    )
    given = {"optimizer": optim.AdamW(1e-2, weight_decay=0.1, eps=1e-12), "epochs": 3, "batch_size": 16}
    given |= {"progress": False, "seed": 1, "penalty": None}
    networks = [nn.MLP([3, width, 1], seed=width) for width in (4, 5, 6)]
    alone = [nn.MLP([3, width, 1], seed=width) for width in (4, 5, 6)]
    cr.fit(SideBySide(networks), (x, y), loss=loss_of(target, settings, 3), **given)
    for one, other in zip(networks, alone, strict=True):
        cr.fit(other, (x, y), loss=loss_of(target, settings), **given)
        for name, value in other.state_dict().items():
            assert one.state_dict()[name] == pytest.approx(value, abs=1e-4), name


def test_shares_are_found_where_one_kind_is_better_and_not_by_chance():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(400, 1))
    good, bad = y + 0.1 * rng.normal(size=y.shape), y + rng.normal(size=y.shape)
    even = (0.5, 0.5)
    assert find_shares(np.stack([good, bad]), y, even)[0] >= 0.9
    alike = y + 0.1 * rng.normal(size=y.shape)
    assert find_shares(np.stack([good, alike]), y, even) == even
    assert find_shares(np.stack([good, bad])[:, :20], y[:20], even) == even
    opposite = np.stack([bad, 2 * y - bad])
    assert find_shares(opposite, y, (1, 0)) == even
    assert mixed(opposite, even) == pytest.approx(y)
    kept = find_shares(np.stack([good, bad]), y, even, np.where(np.arange(400) < 200, 1.0, 0.0))
    half = find_shares(np.stack([good, bad])[:, :200], y[:200], even)
    assert kept == half


def test_a_line_is_answered_by_the_linear_model():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 40))
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(40)}).with_columns(
        y=pl.Series(x @ rng.normal(size=40) + 0.1 * rng.normal(size=160))
    )
    trained = train_table(frame, "y", QUICK)
    assert trained.model.architecture.shares[-1] > 0.9
    features, target = trained.prepared.training
    fold, linear = trained.history.folds[0], trained.model.network.members[-1]
    first = trained.model.network.members[len(trained.model.architecture.answering) - 1]
    expected = linear_predictions(features[fold.train], target[fold.train], features[fold.validation], 0)
    assert first.predict(features[fold.validation])[:, 0] == pytest.approx(expected, abs=1e-4)
    assert trained.score.value < 0.2 * trained.score.baseline
    assert linear is not first


def test_every_fold_has_its_own_network(trained):
    unseen = np.concatenate(trained.out_of_fold.unseen)
    assert np.bincount(unseen).tolist() == [len(trained.model.architecture.answering)] * 240
    counts = len(trained.model.architecture.answering)
    assert len(trained.model.network.members) == trained.model.architecture.networks == 4 * counts
    weights = [member.state_dict() for member in trained.model.network.members[::counts]]
    name = next(name for name in weights[0] if name.endswith("weight"))
    assert not np.array_equal(weights[0][name], weights[1][name])


def test_the_one_network_that_is_looked_at_is_of_the_best_fold(trained):
    best, kinds = trained.history.replicas[trained.history.best], trained.model.architecture.kinds
    single, (kind, _) = trained.single, trained.model.architecture.answering[0]
    for name, value in single.network.state_dict().items():
        assert np.array_equal(best.state[f"networks.{kinds.index(kind)}.{name}"], value), name
    fold = trained.history.folds[trained.history.best].validation
    assert np.array_equal(single.unseen.features, trained.prepared.training.features[fold])
    assert len(single.training.target) + len(single.unseen.target) == 240


def test_it_is_saved_and_comes_back(trained, tmp_path):
    frame = trained.prepared.frame
    trained.model.save(tmp_path / "m")
    back = load_model(tmp_path / "m")
    assert back.architecture == trained.model.architecture
    assert back.predict(frame).to_frame().equals(trained.model.predict(frame).to_frame())
    back.save(tmp_path / "again")
    assert (tmp_path / "m").read_bytes() == (tmp_path / "again").read_bytes()


def test_onnx_says_the_same(trained, tmp_path):
    trained.model.save_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    frame = trained.prepared.frame
    given = {
        one.name: frame[one.name].to_numpy().astype(object if one.type == "tensor(string)" else np.float64)
        for one in session.get_inputs()
    }
    found, predictions = session.run(None, given), trained.model.predict(frame)
    if trained.model.classes:
        assert found[1] == pytest.approx(predictions.probabilities, abs=1e-5)
    else:
        assert found[0].ravel() == pytest.approx(predictions.values.to_numpy(), rel=1e-5, abs=1e-5)


def test_the_report_shows_it(trained):
    page = render(make_report(trained, "m"))
    assert "out-of-fold rows" in page
    assert "rows that trained the network" not in page


def test_files_of_single_networks_before_there_were_ensembles_are_read(tmp_path):
    wine = load_bundled("wine")
    model = train_table(wine.frame, wine.target, TrainingSettings(epochs=2)).model
    model.save(tmp_path / "m")
    tensors, metadata = load_tensors(tmp_path / "m", kind="model")
    old = ("widths", "activation", "dropout", "batch_norm")
    metadata["architecture"] = {name: metadata["architecture"][name] for name in old}
    del metadata["facts"]["errors"]
    save_tensors(tmp_path / "old", tensors, metadata, kind="model")
    assert (
        load_model(tmp_path / "old")
        .predict(wine.frame)
        .to_frame()
        .equals(model.predict(wine.frame).to_frame())
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("members", 10**12),
        ("members", 0),
        ("members", 3),
        ("scaling", "odd"),
        ("embedding", "odd"),
        ("numbers", [99]),
        ("numbers", [1, 0]),
        ("numbers", [0, 0]),
        ("classes", False),
        ("shares", [0.5, 0.5]),
        ("shares", [0.0, 0.0, 0.0, 0.0]),
        ("shares", [-1.0, 1.0, 1.0, 0.0]),
        ("shares", [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_a_damaged_architecture_is_refused(tmp_path, name, value):
    train_table(table("classification"), "y", QUICK).model.save(tmp_path / "m")
    tensors, metadata = load_tensors(tmp_path / "m", kind="model")
    metadata["architecture"][name] = value
    save_tensors(tmp_path / "odd", tensors, metadata, kind="model")
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "odd")


def test_ctrl_c_leaves_the_networks_that_are_there():
    prepared = prepare(table("regression"), "y", QUICK)
    seen = []

    def stop(epoch):
        seen.append(epoch)
        if len(seen) == 20:
            raise KeyboardInterrupt

    trained = train(prepared, callbacks=(stop,), progress=False)
    assert trained.history.interrupted
    assert 1 <= trained.model.architecture.members <= 4
    assert (
        trained.score.rows
        == len(trained.scored.actual)
        == len(np.unique(np.concatenate(trained.out_of_fold.unseen)))
    )
    assert np.isfinite(trained.scored.predicted).all()
    assert len(trained.worst.rows) and trained.importances.columns and trained.metrics
    render(make_report(trained, "m"))


def test_a_run_that_was_cut_goes_on_to_the_same_bits(tmp_path):
    frame, path = table("classification"), tmp_path / "run"
    whole = train(prepare(frame, "y", QUICK), progress=False)
    seen = []

    def stop(epoch):
        seen.append(epoch)
        if len(seen) == 20:
            raise KeyboardInterrupt

    train(prepare(frame, "y", QUICK), progress=False, checkpoint=path, callbacks=(stop,))
    again = train(prepare(frame, "y", QUICK), progress=False, checkpoint=path, resume=True)
    whole.model.save(tmp_path / "a")
    again.model.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("rows", [9, 10, slow(12), slow(25)])
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.filterwarnings("ignore::chainrule.data.digits.DataWarning")
def test_small_tables(rows, task):
    trained = train_table(table(task, rows), "y", Recipe({"epochs": 3}))
    assert trained.prepared.settings.ensemble == (rows >= 10)
    assert trained.model.predict(table(task, rows)).values.null_count() == 0
    assert trained.findings


def test_held_out_rows_are_judged_by_all_networks():
    trained = train_table(table("regression"), "y", Recipe({**QUICK.changes, "held_out": 0.25}))
    assert (trained.score.scored_on, trained.score.rows) == ("held-out", 60)
    frame, split = trained.prepared.frame, trained.prepared.split
    assert trained.scored.predicted == pytest.approx(
        trained.model.predict(frame[split.held_out]).values.to_numpy(), rel=1e-5
    )
    assert np.concatenate(trained.out_of_fold.unseen).max() < 180


def test_restarts_repeat_the_folds():
    trained = train_table(table("regression"), "y", Recipe({**QUICK.changes, "restarts": 2}))
    assert trained.model.architecture.members == 8
    counts = np.bincount(np.concatenate(trained.out_of_fold.unseen))
    assert counts.tolist() == [2 * len(trained.model.architecture.answering)] * 240


def test_copies_of_rows_are_found_across_folds():
    frame = table("classification", 60)
    trained = train_table(pl.concat([frame] * 4), "y", QUICK)
    assert "copies across the split" in [finding.kind for finding in trained.findings]


def test_the_recipe_is_what_it_says_and_yields_to_what_is_said():
    small, large = Recipe().settings(500), Recipe().settings(50_000)
    assert small.batch_size < large.batch_size
    assert Recipe({"lr": 0.1, "epochs": 3}).settings(500).lr == 0.1
    with pytest.raises(SettingError, match="there is no setting 'learning_rate'"):
        Recipe({"learning_rate": 0.1})
    with pytest.raises(SettingError, match="folds"):
        Recipe({"folds": 1})


def test_the_docs_list_the_sizes_that_hold():
    page = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text()
    for size in SIZES:
        rows = "more" if size is SIZES[-1] else f"below {size.below:,}"
        hidden = ", ".join(map(str, size.hidden))
        line = f"| {rows} | {size.batch_size:,} | {size.steps:,} | {hidden} | {size.weight_decay} |"
        assert line in page


def test_answers_of_several_networks_per_row_are_averaged():
    networks = [nn.MLP([2, 3], seed=seed) for seed in range(3)]
    features = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    unseen = [np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([2])]
    found = OutOfFold(networks, unseen, [1, 1, 1], classes=True).outputs(features, np.arange(5))
    logits = [network.predict(features) for network in networks]
    shares = [np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in logits]
    logs = [np.log(share) for share in shares]
    expected = [
        logs[0][0],
        (logs[0][1] + logs[1][1]) / 2,
        (logs[0][2] + logs[1][2] + logs[2][2]) / 3,
        logs[1][3],
    ]
    assert found[:4] == pytest.approx(np.array(expected), abs=1e-6)
    assert np.isnan(found[4]).all()


def test_other_rows_in_another_order_are_judged_alike():
    networks = [nn.MLP([2, 1], seed=seed) for seed in range(2)]
    features = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    judged = OutOfFold(networks, [np.arange(3), np.arange(3, 6)], [1, 1], classes=False)
    order = np.array([5, 0, 3])
    assert judged.outputs(features[order], order) == pytest.approx(
        judged.outputs(features, np.arange(6))[order], abs=1e-6
    )


def test_another_model_by_folds_sees_no_row_that_it_judges():
    judged = OutOfFold([], [np.array([0, 3]), np.array([1, 2]), np.array([0, 1, 2, 3])], [], classes=False)
    seen = []

    def predict(train, new):
        seen.append((train.tolist(), new.tolist()))
        return new * 10.0

    assert judged.by_folds(predict).tolist() == [0, 10, 20, 30]
    assert seen == [([1, 2], [0, 3]), ([0, 3], [1, 2])]


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0])
def test_the_temperature_undoes_what_was_done_to_the_logits(scale):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (rng.random(4000)[:, None] > shares.cumsum(1)).sum(1)
    assert find_temperature(logits * scale, labels) == pytest.approx(scale, rel=0.1)
    assert find_temperature(logits[:20] * scale, labels[:20]) == 1.0


def test_robust_scaling_is_that_of_the_quartiles():
    x = np.random.default_rng(0).lognormal(0, 2, (1000, 3)).astype(np.float32)
    x[:, 1] = np.where(x[:, 1] > 1, 1, 0)
    layer = RobustScaling.fitted(x, [0, 2])
    low, median, high = np.percentile(x[:, 0].astype(np.float64), [25, 50, 75])
    z = (x[:, 0] - median) / (high - low)
    y = layer.predict(x)
    assert y[:, 0] == pytest.approx(z / np.sqrt(1 + (z / 3) ** 2), abs=1e-4)
    assert np.array_equal(y[:, 1], x[:, 1])
    assert np.abs(y).max() <= 3


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_robust_scaling_of_a_number_that_hardly_differs(value):
    x = np.full((100, 1), value, np.float32)
    assert RobustScaling.fitted(x, [0]).predict(x).tolist() == [[0.0]] * 100
    x[0] = value + 4
    assert RobustScaling.fitted(x, [0]).predict(x)[0, 0] == pytest.approx(1 / np.sqrt(1 + 1 / 9))


def test_a_mixture_is_a_module_like_others():
    mixture = Mixture(
        [nn.MLP([2, 3], seed=seed) for seed in range(2)], shares=(0.2, 0.8), classes=True, temperature=2.0
    )
    x = np.ones((4, 2), np.float32)
    twin = Mixture([nn.MLP([2, 3], seed=9) for _ in range(2)], shares=(0.2, 0.8), classes=True)
    twin.load_state_dict(mixture.state_dict())
    assert np.array_equal(twin.predict(x), mixture.predict(x))
    assert mixture.describe() == "2 networks, mean of their log-probabilities"


def test_the_facts_are_json(trained):
    assert json.loads(json.dumps(trained.model.facts.settings))["ensemble"] is True


def test_columns_are_shuffled_for_the_networks_of_a_rows_own_fold(trained, monkeypatch):
    """Many columns are predicted in one call: the same losses as column after column, network after network."""
    monkeypatch.setattr("chainrule.tables.importance.TOGETHER", 3 * 240)
    features, encoded = trained.prepared.scored
    parts = list(features_of_columns(trained.model).values())
    found = _gained(trained, np.arange(240), parts, 2, seed=0)
    rng, judged = np.random.default_rng(0), trained.out_of_fold
    for i, part in enumerate(parts):
        for j in range(2):
            shuffled = features.copy()
            shuffled[:, part] = features[rng.permutation(240), part]
            said = np.zeros((240, len(trained.model.classes) or 1))
            for network, rows, share in zip(judged.members, judged.unseen, judged.shares, strict=True):
                one = network.predict(shuffled)[rows].astype(np.float64)
                said[rows] += share * (np.log(softmax(one, axis=1)) if trained.model.classes else one)
            said = (said / judged.temperature).astype(np.float32)
            np.testing.assert_allclose(
                found[i, j], losses_of_rows(trained.model, said, encoded), rtol=1e-3, atol=1e-5
            )


def test_the_linear_model_beside_it_is_that_of_the_other_folds(trained):
    """It was fitted for the ensemble already, and is not fitted anew for the report."""
    anew = trained.linear_without(())
    if trained.model.task == "regression":
        anew = trained.model.preprocessor.decode(anew).to_numpy()
    np.testing.assert_allclose(trained.linear, anew, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("embedding", ["mixed", "none"])
def test_ctrl_c_before_the_first_epoch_leaves_a_file_that_loads(tmp_path, monkeypatch, embedding):
    def interrupted(network, *given, **more):
        history = fit(network, *given, **{**more, "epochs": 1})
        history.interrupted = True
        history.replicas = [replace(one, loss=[], kept_epoch=-1) for one in history.replicas]
        return history

    monkeypatch.setattr("chainrule.tables.training.fit", interrupted)
    frame = table("classification", 60)
    trained = train(prepare(frame, "y", Recipe({**QUICK.changes, "embedding": embedding})), progress=False)
    assert not trained.model.facts.best_epoch
    trained.model.save(tmp_path / "m")
    back = load_model(tmp_path / "m").predict(frame)
    assert back.to_frame().equals(trained.model.predict(frame).to_frame())
