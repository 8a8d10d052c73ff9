"""Predictions made up, as tests/evaluation makes them."""

from tests.evaluation.conftest import build, random_predictions

__all__ = ["build", "random_predictions"]
