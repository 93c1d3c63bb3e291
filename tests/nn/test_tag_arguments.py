"""The options of Tag, and the arguments that it refuses."""

import inspect
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from fastladder.nn import Tag, TagOptions
from fastladder.nn.tag import Delta
from fastladder.ops.grouping import DELTAS
from tests.nn.tagging import SHAPE, data, make


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups: got 0, needs a number above 0"),
        ({"groups": 33}, "groups: got 33, needs 32 or less"),
        ({"iterations": 0}, "iterations: got 0, needs a number above 0"),
        ({"likelihood": "poisson"}, "likelihood: got 'poisson', needs one of 'gaussian', 'bernoulli'"),
        ({"noise": -0.1}, "noise: got -0.1, needs a standard deviation of 0 or more"),
        ({"noise": 0.5, "likelihood": "bernoulli"}, "noise: got 0.5, needs a flip probability from 0 to below 0.5"),
        ({"initial_variance": 0.0}, "initial_variance: got 0.0, needs a number above 0"),
        ({"delta": "code"}, "delta: got 'code', needs one of"),
        ({"norm": "group"}, "norm: got 'group', needs one of"),
    ],
)
def test_refuses_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_the_options_for_networks_around_it_are_its_keyword_arguments():
    keywords = {
        parameter.name: parameter.annotation
        for parameter in inspect.signature(Tag).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in ("norm", "device", "dtype")
    }
    assert get_type_hints(TagOptions) == keywords
    assert get_args(Delta) == DELTAS


def test_a_single_dimension_is_an_integer():
    output = Tag(lambda features: (features[:, 0], features[:, 1]), np.int64(7), groups=np.int8(3))(torch.rand(2, 7))
    assert output.masks[-1].shape == (2, 3, 7)


MASK = torch.full((6, 4, *SHAPE), 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": MASK * 1.5}, "mask: sums over groups are 1.5 to 1.5, needs 1"),
        ({"mask": torch.cat([MASK[:, :2] * 3, -MASK[:, :2]], 1)}, "mask: got -0.25, needs 0 or more"),
        ({"mask": MASK[..., :2]}, "mask: got shape"),
        ({"groups": 0}, "groups: got 0, needs a number above 0"),
        ({"iterations": 0}, "iterations: got 0, needs a number above 0"),
        ({"noisy": torch.zeros(3, 3)}, "noisy: got shape"),
        ({"remove": torch.zeros(6, 5, dtype=torch.bool)}, r"remove: got shape \(6, 5\), needs \(6, 4\)"),
    ],
)
def test_refuses_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make()(data(), **options)


def test_refuses_what_is_not_binary_and_wrong_targets():
    tag = make(likelihood="bernoulli")
    with pytest.raises(ValueError, match=r"target: got values from .* needs 0 and 1 only"):
        tag(data() * 0.9 + 0.05)
    with pytest.raises(ValueError, match=r"noisy: got values from .* needs 0 and 1 only"):
        tag(data("bernoulli"), noisy=data())
    with pytest.raises(ValueError, match=r"target: got torch.float32 of shape \(2, 3\), needs"):
        tag(torch.zeros(2, 3))
    with pytest.raises(TypeError, match="target: got list, needs a tensor"):
        tag([1.0])
    with pytest.raises(TypeError, match=r"remove: got dtype torch.float32, needs torch.bool"):
        tag(data("bernoulli"), remove=torch.zeros(6, 4))


def test_refuses_wrong_outputs_of_a_mapping():
    class Wrong(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, features):
            return self.function(features)

    with pytest.raises(TypeError, match="mapping: it returned Tensor, needs a tuple of z and mask logits"):
        Tag(Wrong(lambda features: features), SHAPE)(data())
    with pytest.raises(ValueError, match=r"mask logits of shape \(24, 1, 5, 4\), needs \(24, 5, 4\)"):
        Tag(Wrong(lambda features: (features[:, 0], features[:, :1])), SHAPE)(data())
