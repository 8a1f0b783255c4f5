"""Estimators with the habits of scikit-learn."""
