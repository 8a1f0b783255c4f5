"""cr.compile: the same results as the plain function, in place where the function updates, or a clear error."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import GradientError, TracingError
from chainrule.tree import leaves


def loss_of(p, x):
    return ((cr.tanh(x @ p["w"]) + p["b"]) ** 2).mean()


@pytest.fixture
def point():
    rng = np.random.default_rng(0)
    return {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}, rng.normal(size=(5, 3))


@pytest.mark.parametrize("transform", [lambda f: f, cr.grad, cr.value_and_grad], ids=["f", "grad", "both"])
def test_functions_of_nested_arrays(point, transform):
    plain, fast = transform(loss_of), cr.compile(transform(loss_of))
    for _ in range(2):
        for got, wanted in zip(leaves(fast(*point)), leaves(plain(*point)), strict=True):
            assert isinstance(got, cr.Tensor) and not got.requires_grad
            np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-12)


def test_another_form_makes_another_variant(capsys):
    def f(x, power=2):
        print("traced")
        return x**power

    fast = cr.compile(f)
    for x, power in (
        (np.ones(3), 2),
        (np.ones(3), 2),
        (np.ones(4), 2),
        (np.ones(3, np.float32), 2),
        (np.ones(3), 3),
    ):
        np.testing.assert_array_equal(fast(x * 2, power).numpy(), (x * 2) ** power)
    assert capsys.readouterr().out.split() == ["traced"] * 4


def training(dtype=np.float64):
    model = nn.MLP([4, 8, 3], dropout=0.3, batch_norm=True, dtype=dtype).initialise(0)
    optimizer = optim.Adam(optim.StepDecay(0.01, 0.5, every=3)).attach(model)

    def step(x, y):
        loss = nn.cross_entropy(model(x), y) + nn.l2(1e-3)(model)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_norm(model.parameters(), 0.5)
        optimizer.step()
        return loss

    return model, optimizer, step


def test_a_step_compiles_unchanged_and_updates_in_place():
    rng = np.random.default_rng(0)
    model, optimizer, step = training()
    other, its_optimizer, same = training()
    buffers = [p.data for p in model.parameters()]
    fast = cr.compile(step)
    for _ in range(6):
        x, y = rng.normal(size=(7, 4)), rng.integers(0, 3, 7)
        np.testing.assert_allclose(fast(x, y).numpy(), same(x, y).numpy(), rtol=1e-11)
    for (name, got), (_, wanted) in zip(model.named_state(), other.named_state(), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
    assert all(p.data is buffer for p, buffer in zip(model.parameters(), buffers, strict=True))
    assert int(optimizer.steps) == int(its_optimizer.steps) == 6


def test_eager_code_sees_the_update_and_refuses_outdated_graphs():
    model, _, step = training()
    x, y = np.ones((2, 4)), np.array([0, 1])
    before = nn.cross_entropy(model(x), y)
    cr.compile(step)(x, y)
    with pytest.raises(GradientError, match="changed"):
        before.backward()


@pytest.mark.parametrize(
    "f",
    [lambda x: x if x.sum() > 0 else -x, lambda x: x * x.sum().item(), lambda x: np.exp(x.numpy())],
    ids=["if", "item", "numpy"],
)
def test_values_are_not_to_be_had_while_tracing(f):
    with pytest.raises(TracingError) as caught:
        cr.compile(f)(np.ones(3))
    assert __file__ in str(caught.value)


def test_results_must_be_tensors():
    with pytest.raises(TracingError, match="no tensor"):
        cr.compile(lambda x: object())(np.ones(3))


def test_nothing_is_differentiated_through_compiled_code():
    fast = cr.compile(lambda x: x * 2)
    with pytest.raises(GradientError, match="history"):
        cr.grad(lambda x: fast(x * 1.0).sum())(np.ones(3))


def test_inside_another_trace_it_is_the_plain_function():
    inner = cr.compile(lambda x: x * 3)
    np.testing.assert_array_equal(cr.compile(lambda x: inner(x) + 1)(np.ones(2)).numpy(), [4.0, 4.0])


def test_the_gradient_of_compiled_code_is_refused_not_zero():
    fast = cr.compile(lambda x: (x * x).sum())
    with pytest.raises(GradientError, match="history"):
        cr.grad(fast)(np.ones(3))
    with cr.no_grad():
        assert fast(cr.tensor([2.0], requires_grad=True)).item() == 4.0


def test_equal_numbers_of_other_kinds_are_other_variants():
    whole, half = cr.tensor(np.arange(3)), cr.tensor([1.0])
    fast = cr.compile(lambda x, k: x * k)
    for number in (2, 2.0, True, 1, 1.0):
        got, wanted = fast(whole, number), whole * number
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got.numpy(), wanted.numpy())
    inverse = cr.compile(lambda x, k: x / k)
    assert [inverse(half, zero).item() for zero in (0.0, -0.0)] == [np.inf, -np.inf]


def test_a_number_that_is_not_equal_to_itself_makes_one_variant(capsys):
    def f(x, k):
        print("traced")
        return x * k

    fast = cr.compile(f)
    for _ in range(3):
        assert np.isnan(fast(np.ones(2), float("nan")).numpy()).all()
    assert capsys.readouterr().out.split() == ["traced"]


def test_training_and_inference_are_other_variants(capsys):
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3))
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)

    def f(x):
        print(model.training)
        return model(x)

    fast = cr.compile(f)
    dropped = fast(x).numpy()
    for _ in range(2):
        model.eval()
        np.testing.assert_allclose(fast(x).numpy(), model(x).numpy(), rtol=1e-6)
        moments = model[1].running_mean.numpy().copy()
        model.train()
        assert not np.array_equal(fast(x).numpy(), dropped)
        assert not np.array_equal(model[1].running_mean.numpy(), moments)
    # the first time modules get an attribute that they did not have
    assert capsys.readouterr().out.split() == ["True", "False", "True"]


def test_threads_may_call_the_same_function():
    fast = cr.compile(lambda x: cr.tanh(x @ x).sum(axis=0))
    rng = np.random.default_rng(0)
    squares = [rng.normal(size=(150, 150)) for _ in range(8)]
    wanted = [fast(x).numpy() for x in squares]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda x: [fast(x).numpy() for _ in range(20)], squares))
    for results, own in zip(found, wanted, strict=True):
        for result in results:
            np.testing.assert_array_equal(result, own)


def test_no_gradient_is_lost_through_what_a_compiled_function_returned():
    """It keeps no history: where its parameters should get a gradient, that is an error, also after other steps."""
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    body, head = nn.Linear(3, 3, seed=0, dtype=np.float64), nn.Linear(3, 1, seed=1, dtype=np.float64)
    fast = cr.compile(body)
    for mixed in (
        lambda: head(fast(x)),
        lambda: head(cr.tanh(fast(x)) * 2),
        lambda: fast(x).sum().backward(),
    ):
        with pytest.raises(GradientError, match="keeps no history"):
            mixed()
    with cr.no_grad():
        inside = fast(x)
    for fixed in (fast(x).detach(), inside):
        head(fixed).sum().backward()
    assert body.weight.grad is None and head.weight.grad is not None
    # functions of arguments alone, and gradients, are numbers like any others
    step = cr.compile(cr.grad(lambda w: (w * w).sum()))
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    (w * step(w.detach())).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [2.0, 4.0])


def adds_up(m, o):
    nn.squared_error(m(np.ones((2, 3))), np.ones((2, 1))).backward()
    o.step()


def is_reset_first(m, o):
    o.zero_grad()
    adds_up(m, o)


def is_reset_afterwards(m, o):
    adds_up(m, o)
    o.zero_grad()


def only_the_head(m, o):
    """The optimizer has one parameter; the other one's gradient is left, and nothing uses it."""
    o.zero_grad()
    nn.squared_error(m(np.ones((2, 3))), np.ones((2, 1))).backward()
    o.step()


@pytest.mark.parametrize("step", [is_reset_first, is_reset_afterwards, only_the_head])
def test_gradients_that_are_forgotten(step):
    def trained(compiled):
        m = nn.Linear(3, 1, seed=0, dtype=np.float64)
        o = optim.SGD(0.1, momentum=0.5).attach([m.weight] if step is only_the_head else m)
        call = cr.compile(lambda: step(m, o)) if compiled else lambda: step(m, o)
        for _ in range(4):
            call()
        assert not compiled or all(p.grad is None for p in m.parameters())
        return nn.flatten_parameters(m)

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-12)


def test_gradients_from_before_are_not_added_to():
    m = nn.Linear(3, 1, seed=0, dtype=np.float64)
    o = optim.SGD(0.1).attach(m)
    step = cr.compile(lambda: adds_up(m, o))
    nn.squared_error(m(np.ones((2, 3))), np.ones((2, 1))).backward()
    with pytest.raises(TracingError, match="gradients from before"):
        step()
    o.zero_grad()
    by_hand = copy.deepcopy(m)
    other = optim.SGD(0.1).attach(by_hand)
    for _ in range(3):
        step()
        is_reset_first(by_hand, other)
    np.testing.assert_allclose(nn.flatten_parameters(m), nn.flatten_parameters(by_hand), rtol=1e-12)


def test_an_older_gradient_does_not_pass_for_that_of_a_compiled_call():
    m = nn.Linear(3, 1, seed=0, dtype=np.float64)
    o = optim.SGD(0.1).attach(m)
    back = lambda x: nn.squared_error(m(x), np.ones((2, 1))).backward()
    back(np.ones((2, 3)))
    cr.compile(back)(np.zeros((2, 3)))
    with pytest.raises(GradientError, match="without a gradient"):
        o.step()
