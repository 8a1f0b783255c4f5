import numpy as np
import polars as pl
import pytest

from chainrule.data import bundled_names, find_task, fit_preprocessor, load_bundled, split_rows
from chainrule.errors import DataError, SettingError

SHAPES = {
    "digits": (1797, 65),
    "iris": (150, 5),
    "wine": (178, 14),
    "breast-cancer": (569, 31),
    "diabetes": (442, 11),
    "and": (4, 3),
    "xnor": (4, 3),
    "x-squared": (50, 2),
    "sine": (50, 2),
    "absolute": (50, 2),
    "spirals": (400, 3),
    "halfspaces": (1000, 11),
}


def test_names():
    assert bundled_names() == tuple(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_every_problem_has_its_shape_task_and_becomes_arrays(name):
    problem = load_bundled(name)
    assert problem.frame.shape == SHAPES[name]
    assert problem.frame.null_count().sum_horizontal()[0] == 0
    assert problem.frame.columns[-1] == problem.target and problem.description.endswith(".")
    assert find_task(problem.frame[problem.target]) == problem.task
    preprocessor, _ = fit_preprocessor(problem.frame, problem.target)
    X = preprocessor.transform(problem.frame)
    y = preprocessor.encode_target(problem.frame)
    assert X.shape[0] == y.shape[0] == SHAPES[name][0] and np.isfinite(X).all()


@pytest.mark.parametrize("name", SHAPES)
def test_the_seed_decides(name):
    first = load_bundled(name, seed=3)
    assert first.frame.equals(load_bundled(name, seed=3).frame)
    generated = name in {"x-squared", "sine", "absolute", "spirals", "halfspaces"}
    assert first.frame.equals(load_bundled(name, seed=4).frame) != generated


def test_truth_tables():
    assert load_bundled("and").frame["y"].to_list() == [0, 0, 0, 1]
    assert load_bundled("xnor").frame["y"].to_list() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("name", "function", "end"),
    [("x-squared", np.square, 1), ("sine", np.sin, 2 * np.pi), ("absolute", np.abs, 1)],
)
def test_curves(name, function, end):
    x, y = load_bundled(name).frame.to_numpy().T
    np.testing.assert_array_equal(y, function(x))
    assert -end <= x.min() < -0.8 * end and 0.8 * end < x.max() <= end


def test_halfspaces_are_an_intersection():
    """Inside are exactly the points that all three half-spaces hold."""
    frame = load_bundled("halfspaces").frame
    assert frame["inside"].sum() == 500
    points = frame.drop("inside").to_numpy()
    inside = points[frame["inside"].to_numpy() == 1]
    generator = np.random.default_rng(0)  # the problem's own normals, drawn again as load_bundled draws them
    np.testing.assert_array_equal(generator.normal(size=(1000, 10)), points)
    normals = generator.normal(size=(3, 10))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    bound = (inside @ normals.T).max()
    np.testing.assert_array_equal((points @ normals.T).max(axis=1) <= bound, frame["inside"].to_numpy() == 1)


def test_spirals_do_not_touch():
    frame = load_bundled("spirals").frame
    a, b = (frame.filter(pl.col("y") == side).drop("y").to_numpy() for side in (0, 1))
    between = np.linalg.norm(a[:, None] - b[None], axis=2)
    assert between.min() > 0.02 and frame["y"].mean() == 0.5


def test_wrong_names_and_seeds():
    with pytest.raises(DataError, match=r"no bundled problem 'digit'\n(.*\n)*.*did you mean 'digits'"):
        load_bundled("digit")
    with pytest.raises(DataError, match="one of"):
        load_bundled("qqqq")
    with pytest.raises(SettingError, match="seed"):
        load_bundled("spirals", seed=-1)


def test_digits_are_those_of_scikit_learn_wherever_it_keeps_them(monkeypatch):
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    direct = load_bundled("digits").frame
    np.testing.assert_array_equal(direct.drop("digit").to_numpy(), pixels)
    np.testing.assert_array_equal(direct["digit"].to_numpy(), digits)
    monkeypatch.setattr("chainrule.data.bundled.find_spec", lambda name: None)
    assert load_bundled("digits").frame.equals(direct)


def test_digits_hold_out_a_fifth_of_every_class():
    frame = load_bundled("digits").frame
    labels = frame["digit"].to_numpy()
    _, held_out = split_rows(frame.height, 0.2, labels)
    assert len(held_out) == 359
    shares = np.bincount(labels[held_out]) / np.bincount(labels)
    assert np.all(np.abs(shares - 0.2) < 0.005)
