"""Occluded moving digits (Recurrent Ladder Networks, section 4.1): classify the digit, predict the next frame."""

from fastladder.experiments.occluded_moving_digits.data import MovingDigitsData
from fastladder.experiments.occluded_moving_digits.metrics import costs_and_scores
from fastladder.experiments.occluded_moving_digits.task import MovingDigitsTask

__all__ = ["MovingDigitsData", "MovingDigitsTask", "costs_and_scores"]
