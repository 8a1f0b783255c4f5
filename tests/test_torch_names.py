"""Whoever types a name of PyTorch's is told ours; what we name exists, and what is named is not ours already."""

import importlib
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.torch_names import INSTEAD, KEYWORDS

X = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
OURS = {"cr": cr, "nn": nn, "optim": optim, "np": np, "x": X, "model": nn.Linear(1, 1)}
CASES = [(owner, name) for owner, names in INSTEAD.items() for name in names]
REDUCTIONS = [
    "sum",
    "prod",
    "max",
    "min",
    "mean",
    "var",
    "std",
    "norm",
    "argmax",
    "logsumexp",
    "softmax",
    "log_softmax",
]


def owner_of(name):
    return X if name == "Tensor" else importlib.import_module(name)


@pytest.mark.parametrize(("owner", "name"), CASES)
def test_a_name_of_pytorchs_is_answered_with_ours(owner, name):
    assert name not in dir(owner_of(owner))
    with pytest.raises(AttributeError) as caught:
        getattr(owner_of(owner), name)
    assert f"use {INSTEAD[owner][name]}" in str(caught.value)
    assert not hasattr(owner_of(owner), name)


@pytest.mark.parametrize(("owner", "name"), CASES)
def test_what_is_named_instead_exists(owner, name):
    text = INSTEAD[owner][name]
    for room, attribute in re.findall(r"\b(cr|nn|optim|np|x)\.(\w+)", text):
        if room == "np" and attribute == "random":
            continue
        assert hasattr(OURS[room], attribute), text
    assert text.isascii()


@pytest.mark.parametrize("owner", INSTEAD)
def test_other_names_get_the_usual_error(owner):
    with pytest.raises(AttributeError, match=r"has no attribute 'nosuch'$"):
        _ = owner_of(owner).nosuch


@pytest.mark.parametrize("name", REDUCTIONS)
def test_pytorchs_keywords_are_answered_with_ours(name):
    for call in (getattr(X, name), lambda **named: getattr(cr, name)(X, **named)):
        with pytest.raises(TypeError, match=r"'dim'; what PyTorch calls dim= is axis= here"):
            call(dim=0)
        with pytest.raises(TypeError, match="'keepdim'"):
            call(keepdim=True, axis=0)
        with pytest.raises(TypeError, match=r"'nosuch'$"):
            call(nosuch=0)
        call(axis=0)


def test_our_keywords_exist():
    assert set(KEYWORDS.values()) <= {"axis", "keepdims", "correction"}
    X.var(axis=0, keepdims=True, correction=1)


@pytest.mark.peers
def test_the_names_are_pytorchs():
    import torch

    theirs = {
        "chainrule": torch,
        "chainrule.nn": torch.nn,
        "chainrule.optim": torch.optim,
        "Tensor": torch.ones(1),
    }
    for owner, name in CASES:
        assert hasattr(theirs[owner], name), (owner, name)


def test_a_missing_name_is_still_missing_to_what_asks():
    assert getattr(X, "view", None) is None
    with pytest.raises(ImportError, match="CrossEntropyLoss"):
        exec("from chainrule.nn import CrossEntropyLoss")
    assert np.asarray(X).shape == (2, 2)
