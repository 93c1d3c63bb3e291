"""Errors of the grouping family name the argument, what came and what is needed."""

import math
from functools import partial

import pytest
import torch

from fastladder import ops

DATA, GROUPS = torch.zeros(2, 5), torch.zeros(2, 3, 5)
CALLS = {
    "group_evidence": {"noisy": DATA, "mean": GROUPS, "mask": GROUPS, "variance": 1.0, "noise_variance": 0.0},
    "group_features": {"noisy": DATA, "mean": GROUPS, "mask": GROUPS, "variance": 1.0, "noise_variance": 0.0},
    "group_evidence_bernoulli": {"noisy": DATA, "probability": GROUPS, "mask": GROUPS, "flip_probability": 0.2},
    "group_features_bernoulli": {"noisy": DATA, "probability": GROUPS, "mask": GROUPS, "flip_probability": 0.2},
    "group_mixture_nll": {"target": DATA, "mean": GROUPS, "mask_logits": GROUPS, "variance": 1.0},
    "group_mixture_nll_bernoulli": {"target": DATA, "logits": GROUPS, "mask_logits": GROUPS},
}


def having(argument):
    """The calls of those operators that take the argument."""
    taking = {name: arguments for name, arguments in CALLS.items() if argument in arguments}
    return pytest.mark.parametrize("call", [partial(getattr(ops, n), **a) for n, a in taking.items()], ids=taking)


@pytest.mark.parametrize(("operator", "arguments"), CALLS.items(), ids=CALLS)
def test_groups(operator, arguments):
    """The data (N, *D) and two activations (N, K, *D); all other arguments must match the first of these."""
    call = partial(getattr(ops, operator), **arguments)
    data, leader, other = list(arguments)[:3]
    for groups in (0, 33):
        wrong = torch.zeros(2, groups, 5)
        with pytest.raises(ValueError, match=rf"^{leader}: got shape \(2, {groups}, 5\), needs .* 1 to 32 groups K"):
            call(**{leader: wrong, other: wrong})
    for value, error, message in [
        ([0.0], TypeError, "got list, needs a tensor"),
        (torch.zeros(3), ValueError, r"got shape \(3,\), needs \(N, "),
        (GROUPS.int(), TypeError, "got dtype torch.int32, needs one of torch.float32"),
    ]:
        with pytest.raises(error, match=f"^{leader}: {message}"):
            call(**{leader: value})
    for name, right, needs in [(data, DATA, r"\(2, 5\)"), (other, GROUPS, r"\(2, 3, 5\)")]:
        for value, error, message in [
            (None, TypeError, "got NoneType, needs a tensor"),
            (right[..., :4], ValueError, rf"got shape .*, needs {needs} to go with {leader}"),
            (right.unsqueeze(0), ValueError, rf"got shape .*, needs {needs} to go with {leader}"),
            (right.double(), TypeError, f"got dtype torch.float64, needs torch.float32 like {leader}"),
            (right.to("meta"), ValueError, f"got device meta, needs cpu like {leader}"),
        ]:
            with pytest.raises(error, match=f"^{name}: {message}"):
                call(**{name: value})


@having("variance")
def test_variance(call):
    for value in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"^variance: got {value}, needs a number above 0"):
            call(variance=value)
    for value in (True, None, "1"):
        with pytest.raises(TypeError, match=f"^variance: got {type(value).__name__}, needs a number"):
            call(variance=value)
    for value, error, message in [
        (torch.ones(1), ValueError, r"got shape \(1,\), needs \(\)"),
        (torch.ones((), dtype=torch.int64), TypeError, "got dtype torch.int64, needs one of"),
        (torch.ones((), device="meta"), ValueError, "got device meta, needs cpu"),
    ]:
        with pytest.raises(error, match=f"^variance: {message}"):
            call(variance=value)


@having("noise_variance")
def test_noise_variance(call):
    for value in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"^noise_variance: got {value}, needs 0 or more"):
            call(noise_variance=value)
    with pytest.raises(TypeError, match=r"^noise_variance: got bool, needs a number"):
        call(noise_variance=True)
    with pytest.raises(ValueError, match=r"^noise_variance: got shape \(1,\), needs \(\)"):
        call(noise_variance=torch.ones(1))


@having("noise_variance")
def test_delta(call):
    with pytest.raises(ValueError, match=r"^delta: got 'code', needs one of 'residual', 'weighted', 'gradient'"):
        call(delta="code")


@having("flip_probability")
def test_flip_probability(call):
    for value in (-0.1, 0.5, math.nan):
        with pytest.raises(ValueError, match=f"^flip_probability: got {value}, needs a number from 0 to below 0.5"):
            call(flip_probability=value)
    for value in (False, torch.tensor(0.2)):
        with pytest.raises(TypeError, match=f"^flip_probability: got {type(value).__name__}, needs a number"):
            call(flip_probability=value)
