"""The plots: what is drawn is what was computed; any axes can be drawn on; print keeps what is meant."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

import chainrule as cr
from chainrule import charts, nn, optim
from chainrule.errors import SettingError, ShapeError
from chainrule.training import History, Replica

XNOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([1, 0, 0, 1])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def gates() -> nn.Sequential:
    """Lecture E's XNOR network (E7): h1 = [i1 + i2 >= 2], h2 = [-i1 - i2 >= 0], o = [h1 + h2 >= 1]."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Step(), nn.Linear(2, 1), nn.Step())
    model[0].weight.data[:], model[0].bias.data[:] = [[1, 1], [-1, -1]], [-2, 0]
    model[2].weight.data[:], model[2].bias.data[:] = [[1, 1]], [-1]
    return model


def run(**more) -> History:
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    settings = {"loss": nn.squared_error, "optimizer": optim.Adam(0.02), "epochs": 6, "progress": False}
    return cr.fit(nn.MLP([1, 4, 1], "tanh", seed=0), (x, x**2), executor="interpreted", **(settings | more))


def widths(ax):
    return [line.get_linewidth() for line in ax.lines]


def test_curves_of_all_restarts_with_the_kept_one_bold():
    x = np.linspace(-1, 1, 10)[:, None]
    history = run(restarts=3, validation=(x, x**2))
    ax = history.plot()
    assert len(ax.lines) == 2 * 3 + 1
    bold = [line for line in ax.lines if line.get_linewidth() > 2]
    np.testing.assert_array_equal(bold[0].get_ydata(), history.loss[history.best])
    np.testing.assert_array_equal(bold[1].get_ydata(), history.validation_loss[history.best])
    assert (bold[0].get_linestyle(), bold[1].get_linestyle()) == ("-", "--")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation", "kept"]


def test_gradient_norms_and_step_sizes():
    history = run(optimizer=optim.SGD(optim.StepDecay(0.1, 0.1, 2)))
    np.testing.assert_array_equal(
        history.plot("gradient_norm").lines[0].get_ydata(), history.gradient_norm[0]
    )
    ax = history.plot("lr")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3])
    assert ax.get_yscale() == "log"
    with pytest.raises(SettingError, match="'rate'"):
        history.plot("rate")
    with pytest.raises(SettingError, match="'lr'"):
        History([Replica([1.0], kept_epoch=0)]).plot("lr")


def test_one_epoch_can_be_seen():
    ax = History([Replica([1.0], kept_epoch=0), Replica([2.0], kept_epoch=0)]).plot()
    assert all(line.get_marker() in (".", "o") for line in ax.lines)


def test_given_axes_are_drawn_on_and_their_style_stays():
    _, ax = plt.subplots()
    before = dict(mpl.rcParams)
    assert run().plot(ax=ax) is ax
    assert cr.plot_decision_regions(gates(), XNOR, ax=ax) is ax
    assert dict(mpl.rcParams) == before


def test_regions_are_what_the_network_predicts():
    ax = cr.plot_decision_regions(gates(), XNOR)
    assert [c.get_offsets().tolist() for c in ax.collections if len(c.get_offsets()) == 2] == [
        [[0.0, 1.0], [1.0, 0.0]],
        [[0.0, 0.0], [1.0, 1.0]],
    ]
    with pytest.raises(ShapeError, match="two inputs"):
        cr.plot_decision_regions(gates(), (np.zeros((3, 3)), [0, 1, 0]))


def test_the_recoding_is_that_of_the_table_of_lecture_e():
    """E7: the rows (0,0), (0,1), (1,0), (1,1) become (0,1), (0,0), (0,0), (1,0): linearly separable (E8)."""
    ax = cr.plot_recoding(gates(), XNOR, layer="1: Step")
    points = [c.get_offsets().tolist() for c in ax.collections if len(c.get_offsets()) == 2]
    assert points == [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]]
    with pytest.raises(SettingError, match="no such unit"):
        cr.plot_recoding(gates(), XNOR, units=(0, 2))
    with pytest.raises(SettingError, match="no such hidden layer"):
        cr.plot_recoding(gates(), XNOR, layer="7: Tanh")


def test_a_fit_shows_points_hidden_units_dashed_and_the_output_red():
    x = np.linspace(-1, 1, 50)[:, None]
    model = nn.MLP([1, 3, 1], "tanh", seed=0)
    ax = cr.plot_fit(model, (x, x**2))
    points, *units, output = ax.lines
    np.testing.assert_array_equal(points.get_ydata(), x[:, 0] ** 2)
    assert [line.get_linestyle() for line in units] == ["--"] * 3
    along = units[0].get_xdata()[:, None]
    hidden = np.tanh(along @ model[0].weight.numpy().T + model[0].bias.numpy())
    np.testing.assert_allclose(np.stack([line.get_ydata() for line in units], 1), hidden, atol=1e-6)
    np.testing.assert_allclose(output.get_ydata(), model.predict(along)[:, 0])
    red, green, blue = to_rgb(output.get_color())
    assert red > 0.8
    assert green + blue < 0.5
    assert len(cr.plot_fit(nn.Linear(1, 1), (x, x)).lines) == 2
    with pytest.raises(ShapeError, match="one input"):
        cr.plot_fit(gates(), XNOR)


def test_histograms_hold_every_weight():
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    recorder = cr.Recorder((x, x**2), nn.squared_error)
    run(callbacks=[recorder])
    ax = cr.plot_histograms(recorder, "2.weight")
    mesh = ax.collections[0]
    np.testing.assert_allclose((mesh.get_array() ** 2).sum(0), 1.0)  # each epoch's shares add up
    assert mesh.get_array().shape[1] == 6
    assert cr.plot_histograms(recorder, of="activations").get_title() == "0: Linear"
    with pytest.raises(SettingError, match="nothing was recorded"):
        cr.plot_histograms(recorder, "9")


def test_the_surface_is_the_loss_along_the_directions():
    """For a linear model and squared error the loss is a known parabola."""
    x = np.array([[1.0], [2.0]])
    model = nn.Linear(1, 1, dtype=np.float64)
    model.weight.data[:], model.bias.data[:] = 2.0, 0.0
    ax = cr.plot_loss_surface(
        model, (x, 2 * x), nn.squared_error, directions=([1, 0], [0, 1]), span=1, points=3
    )
    levels = ax.collections[0].levels
    assert (levels[0], levels[-1]) == (0.0, pytest.approx(np.mean((x + 1) ** 2)))
    assert model.weight.item() == 2.0
    with pytest.raises(ShapeError):
        cr.plot_loss_surface(model, (x, x), nn.squared_error, directions=([1], [0]))
    with pytest.raises(SettingError, match="two directions"):
        cr.plot_loss_surface(model, (x, x), nn.squared_error, directions=([1, 0],))


def test_colours_differ_in_grey_and_lines_in_dashes():
    """Neighbouring colours differ in brightness by a tenth; whatever has the same brightness has other dashes."""
    grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(to_rgb, charts.COLOURS)]
    assert abs(grey[0] - grey[1]) > 0.1
    assert len(set(charts.DASHES)) == len(charts.DASHES)
    assert charts.STYLE["savefig.dpi"] >= 300


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(SettingError, match="matplotlib"):
        run(epochs=1).plot()
