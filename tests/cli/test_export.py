"""``chainrule export``: what it writes, and what it refuses."""

import numpy as np
import onnxruntime
import polars as pl


def test_what_is_exported_predicts_the_same(run, houses):
    done = run("export", houses / "houses.safetensors", "--json")
    assert done.status == 0 and done.result["inputs"] == ["area", "age", "town", "garden"]
    frame = pl.read_csv(houses / "houses.csv")
    numbers = {
        name: frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("area", "age", "garden")
    }
    given = {**numbers, "town": frame["town"].to_numpy().astype(object)}
    found = onnxruntime.InferenceSession("model.onnx").run(None, given)[0]
    run("predict", houses / "houses.safetensors", houses / "houses.csv")
    np.testing.assert_allclose(found, pl.read_csv("predictions.csv")["prediction"].to_numpy(), rtol=1e-5)


def test_the_model_itself_is_not_overwritten(run, houses):
    done = run("export", houses / "houses.safetensors", "--out", houses / "houses.safetensors")
    assert done.status == 2 and "it is the file that is read" in done.err
