"""Free text: its words are features."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import Columns, fit_preprocessor
from chainrule.tables import TrainingSettings, load_model, train_table

GOOD, BAD = ["lovely", "bright", "warm", "superb"], ["dreary", "broken", "cold", "awful"]
OTHER = ["the", "house", "garden", "street", "kitchen", "was", "seen", "by", "us", "today", "and", "is"]


def reviews(rows: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, rows)
    texts = [
        " ".join([*rng.choice(OTHER, 8), *rng.choice([BAD, GOOD][k], 2), f"no{i}"]) + "."
        for i, k in enumerate(kind)
    ]
    return pl.DataFrame({"text": texts, "verdict": [["bad", "good"][k] for k in kind]})


def test_a_table_of_nothing_but_free_text_trains(tmp_path):
    trained = train_table(reviews(), "verdict", TrainingSettings(epochs=40))
    assert trained.score.value > 0.95
    trained.model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors").predict(reviews())
    assert again.values.to_list() == trained.model.predict(reviews()).values.to_list()


def test_the_words_are_those_of_the_training_rows():
    frame = reviews(60)
    rows = np.arange(30)
    preprocessor, notices = fit_preprocessor(frame, "verdict", rows=rows)
    by_rows, _ = fit_preprocessor(frame[:30], "verdict")
    assert preprocessor == by_rows
    assert any("'text' is free text" in notice for notice in notices)
    X = preprocessor.transform(frame)
    np.testing.assert_allclose(np.square(X).sum(1), 1, rtol=1e-5)
    empty = preprocessor.transform(pl.DataFrame({"text": [None, "", "unheard-of"]}))
    assert not empty.any()
    (column,) = preprocessor.columns
    word = column.categories.index("house")
    assert ((X[:, word] > 0) == frame["text"].str.contains(r"\bhouse\b").to_numpy()).all()


@pytest.mark.parametrize(
    ("wanted", "kind"), [("words", "words"), ("category", "categorical"), ("id", "ignored")]
)
def test_the_type_may_be_said(wanted, kind):
    frame = reviews(60).with_columns(x=pl.Series(np.arange(60.0)))
    preprocessor, _ = fit_preprocessor(frame, "verdict", columns=Columns(types={"text": wanted}))
    assert preprocessor.columns[0].kind == kind
