"""The first number that is not finite: found where it arose, not where it shows."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import NonFiniteError, SettingError
from chainrule.graph import new_leaf
from chainrule.nonfinite import first_bad_number
from chainrule.tensor import Tensor
from chainrule.trace import tracing


def search(f, **arrays):
    """first_bad_number in f of these arrays."""
    leaves = {name: new_leaf(np.shape(x), np.asarray(x).dtype, name) for name, x in arrays.items()}
    with tracing():
        result = f(*(Tensor(None, leaf) for leaf in leaves.values()))
    results = result if isinstance(result, tuple) else (result,)
    given = {leaves[name]: np.asarray(x) for name, x in arrays.items()}
    return first_bad_number([r.node for r in results], given)


def test_all_is_well():
    assert search(lambda x: cr.log(x).sum(), x=np.array([1.0, 2.0])) is None


def test_where_it_arose_and_of_what():
    bad = search(lambda x: (cr.tanh(cr.log(x * 2.0)) + cr.log(x)).sum(), x=np.array([[1.0, 3.0], [0.0, 2.0]]))
    assert bad.node.op.name == "log" and bad.index == (1, 0)
    np.testing.assert_array_equal(
        bad.inputs[0], [[1.0, 3.0], [0.0, 2.0]]
    )  # the first log's result is masked by tanh
    assert bad.rows().tolist() == [1]
    assert "from 0 to 3, 0 there" in str(bad.error())


def test_what_is_masked_does_not_count():
    x = np.array([0.0, 1.0])
    assert search(lambda x: cr.where(x > 0.5, cr.log(x), 0.0).sum(), x=x) is None
    assert search(lambda x: (1.0 / (1.0 + cr.exp(1000.0 * x))).sum(), x=x) is None
    bad = search(lambda x: cr.where(x > 0.5, cr.log(x), 0.0).sum() + cr.log(x - 1.0).sum(), x=x)
    np.testing.assert_array_equal(bad.inputs[0], [-1.0, 0.0])


def test_zero_times_infinity_is_traced_to_the_infinity():
    bad = search(lambda x: (0.0 * cr.exp(x)).sum(), x=np.float32([1000.0]))
    assert bad.node.op.name == "exp"
    assert "88" in bad.hint()


def test_in_the_data():
    bad = search(lambda x: (x * 2.0).sum(), x=np.array([1.0, np.nan, np.inf]))
    assert bad.what() == "x holds nan" and bad.index == (1,)


def test_the_parameter_that_was_read_last_is_named():
    w, v, x = (new_leaf((2, 2), np.float64, n) for n in "wvx")
    with tracing():
        y = cr.log(Tensor(None, x) @ Tensor(None, w)) @ Tensor(None, v)
    bad = first_bad_number(
        [y.node], {w: np.zeros((2, 2)), v: np.eye(2), x: np.eye(2)}, {w: "first", v: "second"}
    )
    assert bad.behind == "first"


def test_every_primitive_that_can_overflow_is_found_with_its_line():
    for f in (cr.exp, cr.log, cr.sqrt, cr.log1p, lambda x: 1.0 / (x + 1000.0)):
        bad = search(lambda x, f=f: cr.tanh(f(x)).sum() * 0.0 + f(x).sum(), x=np.array([-1000.0, 1000.0]))
        if bad is not None:
            assert bad.node.line[0] == __file__
            assert all(np.isfinite(value).all() for value in bad.inputs)


# Compiled functions


def test_compiled_function_raises_with_the_line():
    fast = cr.compile(lambda x: cr.log(x - 1.0).sum(), nonfinite="raise")
    assert fast(cr.tensor([2.0, 3.0])).item() == pytest.approx(np.log(2.0))
    with pytest.raises(
        NonFiniteError, match=r"log gave -inf(.|\n)*its input: float32\[2\](.|\n)*fast = cr\.compile"
    ):
        fast(cr.tensor([1.0, 3.0]))
    assert np.isinf(cr.compile(cr.log)(cr.tensor(0.0)).item())  # the default says nothing


def test_compiled_function_warns():
    fast = cr.compile(cr.sqrt, nonfinite="warn")
    with pytest.warns(RuntimeWarning, match="sqrt gave nan") as caught:
        assert np.isnan(fast(cr.tensor(-1.0)).item())
    assert caught[0].filename == __file__


@pytest.mark.parametrize("nonfinite", ["raise", "warn"])
def test_compiled_step_and_its_state(nonfinite):
    model = nn.Linear(2, 1, seed=0)
    opt = optim.SGD(1.0, momentum=0.5).attach(model)

    def step(x):
        loss = cr.log(x @ model.weight.T).sum()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    fast = cr.compile(step, nonfinite=nonfinite)
    before = model.state_dict()
    bad = np.zeros((1, 2), np.float32)
    if nonfinite == "raise":
        with pytest.raises(NonFiniteError, match="log gave -inf"):
            fast(bad)
        assert all((model.state_dict()[name] == value).all() for name, value in before.items())
        assert opt.steps.item() == 0
    else:
        with pytest.warns(RuntimeWarning, match="log gave -inf"):
            fast(bad)
        assert not np.isfinite(model.state_dict()["weight"]).any()
        assert opt.steps.item() == 1


def test_unknown_setting():
    with pytest.raises(SettingError, match="nonfinite"):
        cr.compile(cr.log, nonfinite=True)
