"""The loss of all rows, whatever is made of parts of them: means, totals, and losses that are neither."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

RNG = np.random.default_rng(3)
X = RNG.normal(size=(2500, 3))  # more than two parts, the last of them smaller
Y = np.tanh(X @ RNG.normal(size=(3, 1))) + 0.1 * RNG.normal(size=(2500, 1))
LABELS = np.sort(RNG.integers(0, 3, 2500))  # sorted: each part has classes of its own
RARE = np.where(np.arange(2500) == 2400, 1, 0)


def squared(p, y):
    return cr.square(p - y)


def weighted(p, y):
    """Normalised by the weights of the rows at hand."""
    weight = cr.exp(y)
    return cr.sum(weight * squared(p, y)) / cr.sum(weight)


def ranked(p, y):
    """Each row against the one beside it."""
    return cr.mean(cr.softplus((p[1:] - p[:-1]) * cr.sign(y[:-1] - y[1:])))


def contrastive(p, y):
    scores = p @ p.T
    return cr.mean(cr.logsumexp(scores, 1) - cr.sum(cr.square(p), 1))


def variance(p, y):
    return cr.mean(squared(p, y)) + cr.mean(cr.square(p - cr.mean(p, 0)))


def balanced(p, y):
    """The mean over classes of the mean over their rows."""
    each = nn.cross_entropy(p, y, "none")
    parts = [
        cr.sum(cr.where(y == k, each, 0)) / cr.maximum(cr.sum(cr.where(y == k, 1.0, 0.0)), 1)
        for k in range(3)
    ]
    return sum(parts) / 3.0


REGRESSION = {
    "mean": (nn.squared_error, "mean"),
    "sum": (lambda p, y: nn.squared_error(p, y, "sum"), "sum"),
    "half_sum": (lambda p, y: nn.half_squared_error(p, y, "sum"), "sum"),
    "batchmean": (lambda p, y: nn.squared_error(p, y, "batchmean"), "mean"),
    "zero_one_sum": (lambda p, y: nn.squared_error(p, y) * 0 + nn.zero_one(p, y, "sum"), "sum"),
    "a constant added to a mean": (lambda p, y: nn.squared_error(p, y) + 3.0, "mean"),
    "a constant added to a total": (lambda p, y: nn.squared_error(p, y, "sum") + 3.0, "whole"),
    "root": (lambda p, y: cr.sqrt(nn.squared_error(p, y)), "whole"),
    "weighted": (weighted, "whole"),
    "ranked": (ranked, "whole"),
    "contrastive": (contrastive, "whole"),
    "variance": (variance, "whole"),
    "largest": (lambda p, y: cr.max(squared(p, y)), "whole"),
}
CLASSES = {
    "cross_entropy": (nn.cross_entropy, LABELS, "mean"),
    "cross_entropy_sum": (lambda p, y: nn.cross_entropy(p, y, "sum"), LABELS, "sum"),
    "balanced": (balanced, LABELS, "whole"),
    "balanced with a rare class": (balanced, RARE, "whole"),
}
CASES = {name: (loss, Y, kind) for name, (loss, kind) in REGRESSION.items()} | CLASSES


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_the_validation_loss_is_the_loss_of_the_validation_rows(name, dtype, executor):
    loss, y, _ = CASES[name]
    model = nn.MLP([3, 4, 3 if y.ndim == 1 else 1], "tanh", seed=0, dtype=dtype)
    history = cr.fit(
        model, (X[:300], y[::-1][:300]), loss=loss, optimizer=optim.Adam(0.01), epochs=2, batch_size=64,
        validation=(X, y), executor=executor,
    )  # fmt: skip
    target = y.astype(dtype) if y.dtype.kind == "f" else y
    expected = loss(model(X.astype(dtype)), target).item()
    assert history.validation_loss[0, -1] == pytest.approx(
        expected, rel=1e-10 if dtype == np.float64 else 1e-5
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_how_a_loss_is_put_together_is_found(name, dtype):
    from chainrule.training.batches import as_rows
    from chainrule.training.combination import combination
    from chainrule.training.step import Objective

    loss, y, kind = CASES[name]
    model = nn.MLP([3, 4, 3 if y.ndim == 1 else 1], "tanh", seed=0, dtype=dtype)
    assert combination(Objective(model=model, loss=loss), [as_rows((X, y), model)]) == kind


@pytest.mark.parametrize("batch_size", [50, 64, 300])
def test_the_training_loss_of_a_total_is_a_total(batch_size):
    """Without steps the epoch's loss is the loss of its rows."""
    rows = X[:300], Y[:300]
    for loss in (lambda p, y: nn.squared_error(p, y, "sum"), nn.squared_error):
        for drop_last in (False, True):
            model = nn.Linear(3, 1, seed=0, dtype=np.float64)
            history = cr.fit(
                model, rows, loss=loss, optimizer=optim.SGD(1e-300), epochs=2, batch_size=batch_size, shuffle=False,
                drop_last=drop_last,
            )  # fmt: skip
            seen = 300 // batch_size * batch_size if drop_last else 300
            expected = loss(model(rows[0][:seen]), rows[1][:seen]).item()
            np.testing.assert_allclose(history.loss[0], expected, rtol=1e-12)


def test_the_report_of_issue_11():
    """5000 rows of loss 1."""
    model = nn.Linear(1, 1, weight_initialiser="zeros", dtype=np.float64)
    data = np.zeros((5000, 1)), np.ones((5000, 1))
    history = cr.fit(
        model, data, loss=lambda p, y: nn.squared_error(p, y, "sum"), optimizer=optim.SGD(1e-300), epochs=1,
        validation=data,
    )  # fmt: skip
    assert history.loss.tolist() == history.validation_loss.tolist() == [[5000.0]]


class Centred(nn.Module):
    """Takes away the mean over the rows at hand, at inference too."""

    def __init__(self):
        self.linear = nn.Linear(3, 1, seed=0, dtype=np.float64)

    def forward(self, x):
        return self.linear(x - cr.mean(x, 0))


def test_a_model_that_mixes_rows_is_evaluated_on_all_of_them():
    model = Centred()
    x = X + np.arange(len(X))[:, None]
    history = cr.fit(
        model,
        (x[:200], Y[:200]),
        loss=nn.squared_error,
        optimizer=optim.SGD(1e-6),
        epochs=1,
        validation=(x, Y),
    )
    assert history.validation_loss[0, 0] == pytest.approx(nn.squared_error(model(x), Y).item(), rel=1e-10)


def test_a_loss_that_is_perfect_at_the_start_is_still_a_total():
    model = nn.Linear(3, 1, weight_initialiser="zeros", dtype=np.float64)
    zeros = np.zeros((2500, 1))
    loss = lambda p, y: nn.squared_error(p, y, "sum")
    history = cr.fit(
        model, (X[:100], Y[:100]), loss=loss, optimizer=optim.SGD(1e-4), epochs=1, validation=(X, zeros)
    )
    assert history.validation_loss[0, 0] == pytest.approx(loss(model(X), zeros).item(), rel=1e-10)
