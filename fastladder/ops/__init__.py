"""The public functional layer: fused operators with the names and signatures of `fastladder.reference`."""

from fastladder import backends, extension
from fastladder.ops.gated_combine import combine_g1, combine_g2, combine_g3, combine_g3_hidden, ladder_combine
from fastladder.ops.gaussian import gaussian_kl, gaussian_merge, importance_bound, merge_sample_kl, wiener_kl
from fastladder.ops.grouping import (
    group_evidence,
    group_evidence_bernoulli,
    group_features,
    group_features_bernoulli,
    group_mixture_nll,
    group_mixture_nll_bernoulli,
)
from fastladder.ops.lstm_gates import lstm_gates, lstm_sequence
from fastladder.ops.moments import moments_sequence, relu_moments, sigmoid_moments, tanh_moments
from fastladder.ops.registration import attach

if extension.module is not None:
    attach("fastladder")
backends.start()

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
