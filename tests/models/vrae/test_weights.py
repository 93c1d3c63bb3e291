import pytest
import torch

from fastladder.models import FDRNN, VOSP, VRAE
from fastladder.models.vrae import sparse_fast_dropout_


@pytest.mark.parametrize("make", [lambda: FDRNN(6, 20), lambda: VRAE(6, 3, 20), lambda: VOSP(6, 3, 20)])
def test_initial_weights_are_those_of_the_paper(make):
    network = make()
    rates = {key: value.clone() for key, value in network.state_dict().items() if "rate_logit" in key}
    sparse_fast_dropout_(network, std=0.2, connections=4, spectral_radius=1.2, output_bias=-2.0)
    state = network.state_dict()
    for key, value in state.items():
        if key.endswith("weight"):
            assert value.ne(0).sum(1).eq(min(4, value.shape[1])).all(), key
        if key.endswith("hidden_projection.weight"):
            assert torch.linalg.eigvals(value).abs().max().item() == pytest.approx(1.2, rel=1e-4)
        elif key.endswith("input_projection.weight"):
            assert value[value != 0].std().item() == pytest.approx(0.2, rel=0.3)
        elif key.endswith("bias"):
            assert value.eq(-2.0 if key == "output.linear.bias" else 0).all(), key
        elif key.endswith("rate_logit"):
            assert value.equal(rates[key])
