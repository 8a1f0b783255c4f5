"""One small network that imitates an ensemble: how near it comes, what it may not read, and how it travels."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import SettingError
from chainrule.report import render
from chainrule.tables import Recipe, TrainingSettings, load_model, prepare, train, train_table
from chainrule.tables.distil import lessons_of, soft_cross_entropy
from chainrule.tables.reporting import make_report

QUICK = {"epochs": 30, "folds": 3, "hidden": (32,), "distil": True}
QUICKEST = {**QUICK, "folds": 2, "epochs": 2, "embedding": "none"}


def table(task, rows=600):
    """A smooth function of three numbers."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(rows, 3))
    smooth = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] / 2
    target = np.where(smooth > 0, "yes", "no") if task == "classification" else 10 + 4 * smooth
    return pl.DataFrame({"one": x[:, 0], "two": x[:, 1], "three": x[:, 2], "y": target})


@pytest.fixture(scope="module", params=["classification", "regression"])
def student(request):
    return train_table(table(request.param), "y", Recipe(QUICK))


def test_it_says_what_its_ensemble_says(student):
    """On rows that trained neither: a tenth of the target's deviation, or 0.1 of a probability, on average."""
    teacher, (features, _) = student.teacher, student.prepared.scored
    mine = student.model.network.predict(features)
    theirs = teacher.model.network.predict(features)
    if student.model.classes:
        apart = np.abs(student.model.probabilities(mine) - teacher.model.probabilities(theirs)).mean()
    else:
        apart = np.sqrt(np.square(mine - theirs).mean())
    assert apart < 0.1
    assert student.model.architecture.networks == 1
    assert student.model.architecture.widths[1:-1] == (64, 64)
    assert sum(parameter.size for parameter in student.model.network.parameters()) < 6000


def test_it_is_scored_beside_its_ensemble_on_the_same_rows(student):
    teacher = student.teacher
    np.testing.assert_array_equal(student.prepared.split.held_out, teacher.prepared.split.held_out)
    assert student.score.scored_on == teacher.score.scored_on == "held-out"
    assert student.score.rows == teacher.score.rows == 120
    assert student.score.value != student.score.baseline == teacher.score.baseline
    outputs = student.model.network.predict(student.prepared.scored.features)
    if student.model.classes:
        assert student.score.value == np.mean(outputs.argmax(1) == student.scored.actual)
    assert any("imitates the ensemble of" in notice for notice in student.prepared.notices)
    assert any("120 rows are held out" in notice for notice in student.prepared.notices)


def test_the_report_is_of_the_network_that_is_saved(student):
    page = render(make_report(student, "m.safetensors"))
    assert "imitates the ensemble" in page
    assert student.single.network is student.model.network


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_held_out_rows_train_neither(task):
    """Whatever stands in the target of the held-out rows, both networks come out to the bit the same."""
    frame = table(task, 200)
    quick = Recipe(QUICKEST)
    first = prepare(frame, "y", quick)
    held_out = first.split.held_out
    trained = train(first, progress=False)
    encoded = first.arranged.target.copy()
    noise = np.random.default_rng(1)
    encoded[-len(held_out) :] = (
        noise.integers(0, 2, len(held_out))
        if task == "classification"
        else noise.normal(size=(len(held_out), 1))
    )
    other = train(replace(first, arranged=first.arranged._replace(target=encoded)), progress=False)
    assert len(held_out) == 40
    assert trained.score.value != other.score.value
    for mine, theirs in ((trained, other), (trained.teacher, other.teacher)):
        for name, tensor in mine.model.network.state_dict().items():
            np.testing.assert_array_equal(tensor, theirs.model.network.state_dict()[name])


def test_lessons_are_what_the_ensemble_says_of_the_rows_that_trained_it(student):
    """And of copies of them, of which a fifth of the cells are of other training rows, and of no held-out one."""
    lessons, teacher = lessons_of(student.teacher), student.teacher
    rows = teacher.prepared.training.features
    copies = lessons.features[480:].reshape(3, 480, 3)
    np.testing.assert_array_equal(lessons.features[:480], rows)
    assert 0.15 < (copies != rows).mean() < 0.25
    for i in range(3):
        assert np.isin(copies[:, :, i], rows[:, i]).all()
    np.testing.assert_allclose(
        student.model.probabilities(teacher.model.network.predict(lessons.features))
        if teacher.model.classes
        else teacher.model.network.predict(lessons.features),
        lessons.target,
        atol=0.003,  # of probabilities, which a model keeps from being 0 or 1
    )
    frame = teacher.prepared.frame[teacher.prepared.split.training]
    said = teacher.predict(frame)
    if teacher.model.classes:
        np.testing.assert_allclose(lessons.target.sum(1), 1, rtol=1e-5)
        np.testing.assert_array_equal(
            lessons.target[:480].argmax(1), np.asarray(said.probabilities).argmax(1)
        )
    else:
        np.testing.assert_allclose(
            teacher.model.preprocessor.decode(lessons.target[:480]).to_numpy(),
            said.values.to_numpy(),
            rtol=1e-4,
        )


def test_soft_cross_entropy_is_that_of_labels_where_probabilities_are_sure():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(7, 3)), rng.integers(0, 3, 7)
    hard = cr.nn.cross_entropy(cr.tensor(logits), labels).item()
    assert soft_cross_entropy(cr.tensor(logits), cr.tensor(np.eye(3)[labels])).item() == pytest.approx(hard)


def test_it_is_saved_and_predicts_in_another_process(student, tmp_path):
    path, rows = tmp_path / "m.safetensors", tmp_path / "rows.csv"
    frame = student.prepared.frame.head(20)
    student.save(path)
    frame.write_csv(rows)
    code = (
        "import sys, chainrule as cr; said = cr.load_model(sys.argv[1]).predict(sys.argv[2]).values; "
        "print(','.join(map(str, said.to_list())))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(path), str(rows)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.strip().split(",") == list(map(str, student.predict(frame).values.to_list()))
    assert load_model(path).facts.settings["distil"] is True


def test_onnx_says_the_same(student, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "m.onnx"
    student.to_onnx(path)
    frame = student.prepared.frame.head(50)
    session = runtime.InferenceSession(str(path))
    inputs = {one.name: frame[one.name].to_numpy().astype(np.float64) for one in session.get_inputs()}
    said, mine = session.run(None, inputs), student.predict(frame)
    if student.model.classes:
        np.testing.assert_allclose(said[1], np.asarray(mine.probabilities), atol=1e-5)
    else:
        np.testing.assert_allclose(np.ravel(said[0]), mine.values.to_numpy(), rtol=1e-5, atol=1e-4)


def test_a_run_that_was_cut_goes_on_to_the_same_bits(tmp_path):
    """The ensemble goes on from its checkpoint; the network that imitates it is trained anew, to the same bits."""
    frame, path = table("classification", 150), tmp_path / "run"
    quick = Recipe({**QUICKEST, "epochs": 4})
    whole, seen = train(prepare(frame, "y", quick), progress=False), []

    def stop(epoch):
        seen.append(epoch)
        if len(seen) == 6:
            raise KeyboardInterrupt

    cut = train(prepare(frame, "y", quick), progress=False, checkpoint=path, callbacks=(stop,))
    assert cut.history.interrupted
    assert cut.teacher is None
    assert cut.out_of_fold is not None
    resumed = train(prepare(frame, "y", quick), progress=False, checkpoint=path, resume=True)
    for name, tensor in whole.model.network.state_dict().items():
        np.testing.assert_array_equal(tensor, resumed.model.network.state_dict()[name])


def test_weights_of_rows_and_aims_go_along():
    """Rows of weight 0 teach nothing: most rows have the wrong class, and the network is right about the others."""
    frame = table("classification", 600)
    rng = np.random.default_rng(2)
    wrong = rng.random(600) < 0.6
    right = frame["y"].to_numpy()
    frame = frame.with_columns(
        y=pl.Series(np.where(wrong, np.where(right == "no", "yes", "no"), right)),
        w=pl.Series(np.where(wrong, 0.0, 1.0)),
    )
    trained = train_table(frame, "y", Recipe({**QUICKEST, "epochs": 20, "sample_weight": "w", "aim": "f1"}))
    assert trained.score.metric == trained.teacher.score.metric == "macro F1"
    assert trained.score.value > 0.7
    assert trained.model.decision == trained.teacher.model.decision


@pytest.mark.parametrize(
    "settings",
    [TrainingSettings(distil=True), Recipe({"distil": True, "held_out": 0.0})],
    ids=["no ensemble", "no rows that judge"],
)
def test_what_cannot_be_distilled_is_refused(settings):
    with pytest.raises(SettingError):
        prepare(table("regression", 60), "y", settings)


def test_very_few_rows_have_a_single_network_with_a_notice():
    trained = train_table(table("regression", 8), "y", Recipe({"distil": True, "epochs": 2}))
    assert trained.teacher is None
    assert any("too few for an ensemble" in notice for notice in trained.prepared.notices)
