"""Seeing inside: drawings, explanations, a diagnosis, plots."""
