"""A saved model is the same model; a file that is not one is refused, whatever it holds."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.data import load_bundled
from chainrule.errors import DataError, ModelFileError, SettingError
from chainrule.files import FileWriteError, load_tensors, save_tensors
from chainrule.tables import Columns, TrainingSettings, load_model, train_table


@pytest.fixture(scope="module")
def model():
    iris = load_bundled("iris")
    settings = TrainingSettings(hidden=(5, 4), batch_norm=True, dropout=0.1, epochs=3)
    return train_table(iris.frame, iris.target, settings, "iris").model


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_what_is_loaded_is_what_was_saved(model, path):
    loaded = cr.load_model(path)
    assert isinstance(loaded, cr.TableModel)
    assert (loaded.architecture, loaded.preprocessor) == (model.architecture, model.preprocessor)
    assert loaded.facts == model.facts
    for name, value in model.network.state_dict().items():
        np.testing.assert_array_equal(loaded.network.state_dict()[name], value)


def test_a_loaded_model_predicts_and_scores_the_same(model, path):
    frame = load_bundled("iris").frame
    first, second = model.predict(frame), cr.load_model(path).predict(frame.drop("species"))
    assert first.values.to_list() == second.values.to_list()
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.to_frame().equals(second.to_frame())
    right = np.mean(np.array(first.values) == frame["species"].to_numpy())
    assert model.score(frame).value == pytest.approx(right)


def test_saved_again_it_is_the_same_file(path, tmp_path):
    cr.load_model(path).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_file_is_predicted_like_its_table(model, tmp_path):
    frame = load_bundled("iris").frame
    frame.write_csv(tmp_path / "a.csv")
    assert model.predict(tmp_path / "a.csv").to_frame().equals(model.predict(frame).to_frame())


def test_categories_that_look_like_numbers_are_read_as_text(tmp_path):
    rng = np.random.default_rng(0)
    code = rng.choice(["1", "2", "x"], 60)
    frame = pl.DataFrame({"code": code, "y": (code == "1") * 1.0 + rng.normal(0, 0.1, 60)})
    model = train_table(frame, "y", TrainingSettings(epochs=30)).model
    pl.DataFrame({"code": ["1", "2"]}).write_csv(tmp_path / "a.csv")  # integers, if one did not know
    first, second = model.predict(tmp_path / "a.csv").values
    assert first > second + 0.5


@pytest.mark.parametrize(
    ("cells", "kind"), [(["a", "b"], str), ([3, 7], int), ([True, False], bool)], ids=["text", "int", "bool"]
)
def test_classes_come_back_as_they_were(cells, kind):
    frame = pl.DataFrame({"x": [0.0, 1.0] * 20, "y": cells * 20})
    predictions = train_table(frame, "y", TrainingSettings(epochs=60)).model.predict(frame)
    assert predictions.values.to_list() == cells * 20
    assert {type(value) for value in predictions.values} == {kind}


def test_kept_columns_are_kept_in_the_file_and_come_with_predictions(tmp_path):
    frame = load_bundled("iris").frame.with_columns(plant=pl.Series([f"plant {i}" for i in range(150)]))
    columns = Columns(keep=("plant",))
    trained = train_table(frame, "species", TrainingSettings(epochs=1), columns=columns).model
    trained.save(tmp_path / "m")
    again = cr.load_model(tmp_path / "m")
    for library in ("polars", "pandas"):
        found = again.predict(frame).to_frame(library)
        assert (
            list(found.columns)[:2] == ["plant", "prediction"]
            and list(found["plant"]) == frame["plant"].to_list()
        )
    frame.write_parquet(tmp_path / "t.parquet")
    assert again.predict(tmp_path / "t.parquet").to_frame()["plant"].equals(frame["plant"])
    with pytest.raises(DataError, match="'plant'"):
        again.predict(frame.drop("plant"))
    for name in ("prediction", "probability_setosa"):
        with pytest.raises(SettingError, match="cannot be kept"):
            train_table(frame.rename({"plant": name}), "species", columns=Columns(keep=(name,)))


def test_a_target_is_needed_for_a_score(model):
    with pytest.raises(DataError, match="no column 'species'"):
        model.score(load_bundled("iris").frame.drop("species"))


def test_saving_nowhere_keeps_the_model(model, tmp_path):
    with pytest.raises(FileWriteError, match="No such file"):
        model.save(tmp_path / "nowhere" / "m")


# Files that someone made: the digest is right, the content is not


def change(path, edit):
    """Rewrite a file with the changes that ``edit(tensors, metadata)`` makes; its digest fits again."""
    tensors, metadata = load_tensors(path)
    edit(tensors, metadata)
    save_tensors(path, tensors, metadata, kind="model")


def forged(part, **values):
    return lambda tensors, metadata: metadata[part].update(values)


def preprocessor(**values):
    def edit(tensors, metadata):
        fitted = json.loads(metadata["preprocessor"])
        fitted["target"].update(values)
        metadata["preprocessor"] = json.dumps(fitted)

    return edit


def tensor(name, value):
    return lambda tensors, metadata: tensors.update({name: value})


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (lambda tensors, metadata: metadata.clear(), "the metadata"),
        (lambda tensors, metadata: metadata.update(more=1), "the metadata"),
        (lambda tensors, metadata: metadata.update(architecture=[]), "architecture"),
        (forged("architecture", more=1), "architecture"),
        (forged("architecture", widths=[4, 3]), "names"),
        (forged("architecture", widths=[4, 5, 4, 2]), "architecture.widths"),
        (forged("architecture", widths=[5, 5, 4, 3]), "architecture.widths"),
        (forged("architecture", widths=[4, 0, 4, 3]), "architecture.widths"),
        (forged("architecture", widths=[4, -5, 4, 3]), "architecture.widths"),
        (forged("architecture", widths=[4, True, 4, 3]), "architecture.widths"),
        (forged("architecture", widths=[3]), "architecture.widths"),
        (forged("architecture", widths="4,3"), "architecture.widths"),
        (forged("architecture", widths=[4, 10**12, 3]), "the tensors"),
        (forged("architecture", widths=[4, *[10**9] * 50, 3]), "the tensors"),
        (forged("architecture", widths=[4, 5, 5, 3]), "0.weight|2"),
        (forged("architecture", activation="__import__"), "architecture"),
        (forged("architecture", activation=7), "architecture.activation"),
        (forged("architecture", dropout=1.5), "architecture"),
        (forged("architecture", dropout=None), "architecture.dropout"),
        (forged("architecture", batch_norm=0), "architecture.batch_norm"),
        (forged("architecture", batch_norm=False), "names"),
        (lambda tensors, metadata: metadata.update(preprocessor="{"), "preprocessing"),
        (lambda tensors, metadata: metadata.update(preprocessor={}), "preprocessing"),
        (preprocessor(classes=["setosa", "virginica"]), "architecture.widths"),
        (preprocessor(task="regression", classes=[]), "target.reading"),
        (lambda tensors, metadata: metadata.update(facts=None), "facts"),
        (forged("facts", score="0.9"), "facts.score"),
        (forged("facts", score=float("nan")), "facts.score"),
        (forged("facts", epochs=-1), "facts.epochs"),
        (forged("facts", epochs=2.0), "facts.epochs"),
        (forged("facts", most_frequent=3), "facts.most_frequent"),
        (forged("facts", settings=[1]), "facts.settings"),
        (forged("facts", settings={"a": [1]}), "facts.settings"),
        (forged("facts", data=None), "facts.data"),
        (lambda tensors, metadata: tensors.clear(), "the tensors"),
        (lambda tensors, metadata: tensors.popitem(), "names"),
        (tensor("more", np.zeros(3)), "names"),
        (tensor("0.weight", np.zeros((5, 5), np.float32)), "0.weight"),
        (tensor("0.weight", np.zeros((5, 4), np.float64)), "0.weight"),
        (tensor("0.weight", np.full((5, 4), np.nan, np.float32)), "0.weight"),
    ],
)
def test_a_forged_file_is_refused(path, edit, where):
    change(path, edit)
    with pytest.raises(ModelFileError, match="is not a usable model") as caught:
        cr.load_model(path)
    assert str(path) in str(caught.value)
    assert any(part in str(caught.value) for part in where.split("|")), str(caught.value)
    assert len(str(caught.value)) < 1500


def test_another_kind_of_file_is_refused(path, tmp_path):
    tensors, metadata = load_tensors(path)
    save_tensors(tmp_path / "run", tensors, metadata, kind="checkpoint")
    with pytest.raises(ModelFileError, match="is not a model"):
        cr.load_model(tmp_path / "run")


def claims(rows=3000, seed=0):
    """A rare class of which nothing is certain."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    odds = 0.9 * x[:, 0] - 0.6 * x[:, 1] - 4.5
    is_claim = rng.random(rows) < 1 / (1 + np.exp(-odds))
    return pl.DataFrame({f"x{i}": x[:, i] for i in range(4)} | {"y": np.where(is_claim, "claim", "none")})


@pytest.mark.parametrize("smoothing", [0.05, 0.3])
def test_probabilities_have_no_label_smoothing_in_them(smoothing, tmp_path):
    frame = claims()
    settings = TrainingSettings(epochs=10, label_smoothing=smoothing)
    trained = train_table(frame, "y", settings)
    share = float((frame["y"] == "claim").mean())
    predictions = trained.model.predict(frame)
    # softmax alone would say share (1 - s) + s / 2 on average: 4% or more instead of 1.5%
    assert predictions.probabilities[:, 0].mean() == pytest.approx(share, abs=0.006)
    raw = trained.model.network.predict(trained.prepared.features)
    assert (predictions.values == np.array(trained.model.classes)[raw.argmax(1)]).all()
    trained.model.save(tmp_path / "m")
    assert np.array_equal(load_model(tmp_path / "m").predict(frame).probabilities, predictions.probabilities)
    held_out = predictions.probabilities[trained.prepared.split.scored]
    np.testing.assert_allclose(trained.scored.predicted, held_out, rtol=1e-5)
    losses = -np.log(held_out[np.arange(len(held_out)), trained.scored.actual])
    assert {m.name: m.value for m in trained.metrics}["log loss"] == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.parametrize("bad", [1, 1.5, -0.1, "much"])
def test_a_share_of_smoothing_that_cannot_be_is_refused(bad, tmp_path):
    model = train_table(claims(60), "y", TrainingSettings(epochs=1)).model
    settings = {**model.facts.settings, "label_smoothing": bad}
    replace(model, facts=replace(model.facts, settings=settings)).save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="label_smoothing"):
        load_model(tmp_path / "m")


def test_a_file_without_that_setting_loads(tmp_path):
    model = train_table(claims(60), "y", TrainingSettings(epochs=1)).model
    replace(model, facts=replace(model.facts, settings={})).save(tmp_path / "m")
    assert load_model(tmp_path / "m").unsmoothing.share == 0
