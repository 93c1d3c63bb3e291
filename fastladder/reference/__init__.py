"""The executable specification: every operator in plain PyTorch that reads like the papers, with its equation.

Nothing here checks arguments or is fast. `fastladder.ops` has the same names and signatures with checks and fused
kernels, describes the arguments, and runs these functions where no kernel exists.
"""

from fastladder.reference.gated_combine import combine_g1, combine_g2, combine_g3, combine_g3_hidden, ladder_combine
from fastladder.reference.gaussian import gaussian_kl, gaussian_merge, importance_bound, merge_sample_kl, wiener_kl
from fastladder.reference.grouping import (
    group_evidence,
    group_evidence_bernoulli,
    group_features,
    group_features_bernoulli,
    group_mixture_nll,
    group_mixture_nll_bernoulli,
)
from fastladder.reference.lstm_gates import lstm_gates, lstm_sequence
from fastladder.reference.moments import moments_sequence, relu_moments, sigmoid_moments, tanh_moments

__all__ = [
    "combine_g1",
    "combine_g2",
    "combine_g3",
    "combine_g3_hidden",
    "gaussian_kl",
    "gaussian_merge",
    "group_evidence",
    "group_evidence_bernoulli",
    "group_features",
    "group_features_bernoulli",
    "group_mixture_nll",
    "group_mixture_nll_bernoulli",
    "importance_bound",
    "ladder_combine",
    "lstm_gates",
    "lstm_sequence",
    "merge_sample_kl",
    "moments_sequence",
    "relu_moments",
    "sigmoid_moments",
    "tanh_moments",
    "wiener_kl",
]
