"""Every error names the argument, what came and what is needed."""

import math

import pytest
import torch

from fastladder.inference import (
    Gains,
    GaussianChain,
    exact_posterior,
    kalman_filter,
    online_filter,
    simulate,
    static_inference,
    static_sweep,
    temporal_inference,
    temporal_prediction,
    temporal_sweep,
    variational_cost,
)

TIMELESS = GaussianChain((1.0, 0.5), (1.0, 1.0, 1.0))
CHAIN = GaussianChain((1.0, 0.5), (1.0, 1.0, 1.0), (0.5, 0.9))
OBSERVATION, LEVELS = torch.zeros(3), torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ()}, "weights: got none, needs at least one"),
        ({"weights": (1.0,)}, "variances: got 3 of them, needs 2, one more than weights"),
        ({"variances": (1.0, 1.0)}, "variances: got 2 of them, needs 3"),
        ({"temporal_weights": (0.5,)}, "temporal_weights: got 1 of them, needs 2"),
        ({"variances": (1.0, 0.0, 1.0)}, r"variances: got \(1.0, 0.0, 1.0\), needs numbers above 0"),
        ({"variances": (1.0, 1.0, -1.0)}, r"variances: got \(1.0, 1.0, -1.0\), needs numbers above 0"),
        ({"variances": (1.0, math.inf, 1.0)}, r"variances: got \(1.0, inf, 1.0\), needs finite"),
        ({"weights": (math.nan, 1.0)}, r"weights: got \(nan, 1.0\), needs finite"),
        ({"temporal_weights": (math.nan, 1.0)}, r"temporal_weights: got \(nan, 1.0\), needs finite"),
        ({"top_mean": math.inf}, "top_mean: got inf, needs finite"),
    ],
)
def test_wrong_chains_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        GaussianChain(**{"weights": (1.0, 0.5), "variances": (1.0, 1.0, 1.0)} | options)


CALLS_WITH_MEANS = {
    "static_sweep": lambda means: static_sweep(CHAIN, OBSERVATION, means),
    "variational_cost": lambda means: variational_cost(CHAIN, OBSERVATION, means, (1.0, 1.0)),
    "temporal_sweep": lambda means: temporal_sweep(CHAIN, Gains.of(CHAIN), OBSERVATION, LEVELS, means),
}
CALLS_WITH_PAST = {
    "temporal_inference": lambda past: temporal_inference(CHAIN, OBSERVATION, past, 1),
    "temporal_sweep": lambda past: temporal_sweep(CHAIN, Gains.of(CHAIN), OBSERVATION, past, LEVELS),
    "exact_posterior": lambda past: exact_posterior(CHAIN, OBSERVATION, past),
}


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        *(pytest.param("means", call, id=name) for name, call in CALLS_WITH_MEANS.items()),
        *(pytest.param("past", call, id=name) for name, call in CALLS_WITH_PAST.items()),
    ],
)
def test_levels_that_do_not_fit(argument, call):
    call(LEVELS)
    for wrong in (torch.zeros(3, 3), torch.zeros(4, 2), torch.zeros(2)):
        with pytest.raises(ValueError, match=rf"^{argument}: got shape .*, needs \(3, 2\): 2 levels"):
            call(wrong)
    with pytest.raises(TypeError, match=rf"^{argument}: got dtype torch.float64, needs torch.float32 like"):
        call(LEVELS.double())
    with pytest.raises(TypeError, match=rf"^{argument}: got dtype torch.int64, needs a floating-point one"):
        call(LEVELS.long())
    with pytest.raises(ValueError, match=rf"^{argument}: got device meta, needs cpu like"):
        call(LEVELS.to("meta"))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda x: static_sweep(CHAIN, x, LEVELS), id="static_sweep"),
        pytest.param(lambda x: static_inference(CHAIN, x, 1), id="static_inference"),
        pytest.param(lambda x: variational_cost(CHAIN, x, LEVELS, (1.0, 1.0)), id="variational_cost"),
        pytest.param(lambda x: temporal_sweep(CHAIN, Gains.of(CHAIN), x, LEVELS, LEVELS), id="temporal_sweep"),
        pytest.param(lambda x: temporal_inference(CHAIN, x, LEVELS, 1), id="temporal_inference"),
        pytest.param(lambda x: exact_posterior(CHAIN, x), id="exact_posterior"),
        pytest.param(lambda x: online_filter(CHAIN, x, 1), id="online_filter"),
        pytest.param(lambda x: kalman_filter(CHAIN, x), id="kalman_filter"),
    ],
)
def test_observations_of_the_wrong_kind(call):
    call(OBSERVATION)
    with pytest.raises(TypeError, match=r"^observations?: got list, needs a tensor"):
        call([0.0, 0.0, 0.0])
    with pytest.raises(TypeError, match=r"^observations?: got dtype torch.int64, needs a floating-point one"):
        call(OBSERVATION.long())


@pytest.mark.parametrize("call", [lambda x: online_filter(CHAIN, x, 1), lambda x: kalman_filter(CHAIN, x)])
@pytest.mark.parametrize("shape", [(), (2, 0)])
def test_no_series(call, shape):
    with pytest.raises(ValueError, match=r"^observations: got shape .*, needs \(\.\.\., T\)"):
        call(torch.zeros(shape))


def test_a_past_of_another_chain():
    with pytest.raises(ValueError, match=r"^past: got shape \(3, 3\), needs \(\.\.\., 2\)"):
        temporal_prediction(CHAIN, torch.zeros(3, 3))


def test_variances_of_another_chain():
    with pytest.raises(ValueError, match=r"^variances: got shape \(3,\), needs \(2,\) or \(3, 2\)"):
        variational_cost(CHAIN, OBSERVATION, LEVELS, (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: temporal_prediction(TIMELESS, LEVELS), id="temporal_prediction"),
        pytest.param(
            lambda: temporal_sweep(TIMELESS, Gains.of(TIMELESS), OBSERVATION, LEVELS, LEVELS), id="temporal_sweep"
        ),
        pytest.param(lambda: temporal_inference(TIMELESS, OBSERVATION, LEVELS, 1), id="temporal_inference"),
        pytest.param(lambda: online_filter(TIMELESS, OBSERVATION, 1), id="online_filter"),
        pytest.param(lambda: kalman_filter(TIMELESS, OBSERVATION), id="kalman_filter"),
        pytest.param(lambda: exact_posterior(TIMELESS, OBSERVATION, LEVELS), id="exact_posterior"),
    ],
)
def test_a_past_needs_temporal_weights(call):
    with pytest.raises(ValueError, match=r"^temporal_weights: got none, needs 2 of them"):
        call()


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("sweeps", lambda: static_inference(CHAIN, OBSERVATION, 0)),
        ("sweeps", lambda: temporal_inference(CHAIN, OBSERVATION, LEVELS, 0)),
        ("sweeps", lambda: online_filter(CHAIN, OBSERVATION, 0)),
        ("count", lambda: simulate(CHAIN, 0, 1, torch.Generator())),
        ("steps", lambda: simulate(CHAIN, 1, 0, torch.Generator())),
    ],
)
def test_counts_below_one(argument, call):
    with pytest.raises(ValueError, match=f"^{argument}: got 0, needs a number above 0"):
        call()
