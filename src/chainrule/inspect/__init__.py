"""Seeing inside: drawings, explanations, a diagnosis, plots."""

from chainrule.inspect.second_derivative import SecondDerivativeTest, second_derivative_test

__all__ = ["SecondDerivativeTest", "second_derivative_test"]
