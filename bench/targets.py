"""The targets of this project: by what factor it has to be faster than others, on two CPU cores."""

from collections.abc import Iterable

# (operator, direction) -> least ratios of eager and of torch.compile to ours, in float32. Of others: 1 and 1.
OPERATORS = {
    ("lstm_gates", "forward"): (5.0, 2.5),
    ("lstm_gates", "forward+backward"): (3.0, 2.0),
    ("combine_g1", "forward+backward"): (3.0, 1.5),
    ("combine_g2", "forward+backward"): (3.0, 1.5),
    ("combine_g3_hidden", "forward+backward"): (1.5, 1.0),
    ("combine_g3", "forward+backward"): (2.5, 1.2),
    ("ladder_combine", "forward+backward"): (3.0, 1.3),
    ("group_evidence", "forward+backward"): (2.0, 1.7),
    ("group_evidence_bernoulli", "forward+backward"): (2.0, 1.7),
    ("group_features", "forward+backward"): (2.0, 1.7),
    ("group_features_bernoulli", "forward+backward"): (2.0, 1.7),
    ("group_mixture_nll", "forward+backward"): (3.0, 2.0),
    ("group_mixture_nll_bernoulli", "forward+backward"): (3.0, 2.0),
    ("merge_sample_kl", "forward+backward"): (3.0, 1.3),
}

# network -> (other variant, ours) -> the least ratio of their training steps. Of others of the same dtype: 1.
TRAINING_STEPS = {
    "ConvLSTM": {("popular", "ours"): 1.3, ("popular", "ours bfloat16"): 2.2},
    "RLadder of Table 5": {("eager", "ours"): 1.5, ("eager", "ours bfloat16"): 2.5},
    "RLadder of Table 8": {("eager", "ours"): 2.5},
    "LSTM": {("torch.nn.LSTM", "ours"): 1 / 1.1, ("torch.nn.LSTM bfloat16", "ours bfloat16"): 1 / 1.1},
    "FD-RNN": {("eager", "ours"): 1.5},
    "LSTM with layer norm": {("torch.nn.LSTM", "ours"): 1 / 1.4, ("torch.nn.LSTM bfloat16", "ours bfloat16"): 1 / 1.4},
}


def verdict(comparisons: Iterable[tuple[float, float]]) -> str:
    """Whether all targets are met and no other is faster.

    Args:
        comparisons: the ratio of another's time to ours, and the least that it has to be.
    """
    comparisons = list(comparisons)
    met = all(ratio >= least for ratio, least in comparisons)
    fastest = all(ratio >= 1 for ratio, _ in comparisons)
    if met:
        return "met" if fastest else "met, slower"
    return "below target" if fastest else "SLOWER"
