"""What the lectures say about each illness, by row."""

from __future__ import annotations

ROWS = {
    "A10": "what gradient descent promises is a critical point, a small gradient, and no more",
    "A11": "training again from other starting points finds better minima: 33 of 40 starts learn XNOR",
    "A13": "far from 0 the logistic is flat: its derivative at 10 is 4.5e-5, and the gradient is multiplied by it",
    "A14": "the ReLU's derivative is 1 for every positive input",
    "A16": "how far the training loss can be trusted falls with the number of edges per row",
    "A17": "a penalty on the weights keeps them small",
    "A18": "dropout keeps units from relying on one another",
    "A20": "a bias is a weight on a constant input",
    "A26": "a message is multiplied by weight and derivative in every layer on its way down",
    "B3": "the columns are scaled to [-1, 1]",
    "B10": "with constant steps stochastic gradient descent ends in a ball of noise; steps like 1/t converge",
    "B21": "a minibatch's gradient is a sample of the full gradient",
    "B22": "batch normalisation gives every unit's input mean 0 and variance 1",
    "C13": "where a ReLU's input is negative its derivative is 0",
    "C14": "saturation: the logistic's derivative at 40 is 4.2e-18, the ReLU's is 1",
    "D8": "a minibatch's gradient is right on average; its spread falls with the batch size",
    "D9": "the batch size is a setting like others",
    "E6": "no straight line separates XNOR: without hidden units some tables cannot be learned",
    "E10": "sign and step have derivative 0; logistic and tanh approximate them and can be trained",
    "E14": "wider and deeper networks represent more",
    "E28": "in a bad local minimum, run again from another start",
    "E29": "at a saddle the gradient is 0 but the loss falls to both sides; a nudge of 1e-6 escapes",
    "E30": "flat regions ask for ReLU, high curvature for gradient clipping and adaptive steps",
}


def reason(row: str) -> str:
    """What a row says, in one sentence.

    >>> reason("A14")
    "the ReLU's derivative is 1 for every positive input"
    """
    return ROWS[row]
