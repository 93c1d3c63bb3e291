"""Inference in Gaussian chains by message passing: appendices B and C of Recurrent Ladder Networks, corrected.

The RLadder's passes up, down and forward in time emulate this inference.
"""

from fastladder.inference.chain import GaussianChain, simulate
from fastladder.inference.exact import exact_posterior, kalman_filter
from fastladder.inference.static import static_inference, static_sweep, variational_cost, variational_variances
from fastladder.inference.temporal import (
    Filtered,
    Gains,
    online_filter,
    temporal_inference,
    temporal_prediction,
    temporal_sweep,
)

__all__ = [
    "Filtered",
    "Gains",
    "GaussianChain",
    "exact_posterior",
    "kalman_filter",
    "online_filter",
    "simulate",
    "static_inference",
    "static_sweep",
    "temporal_inference",
    "temporal_prediction",
    "temporal_sweep",
    "variational_cost",
    "variational_variances",
]
