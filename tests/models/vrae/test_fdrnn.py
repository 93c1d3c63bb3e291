"""FD-RNN against its parts, its probabilities, and what it learns."""

import pytest
import torch
from torch.nn import functional

from fastladder.models import FDRNN
from fastladder.models.vrae.bernoulli import BernoulliOutput, bernoulli_nll, draw_bits, most_likely
from fastladder.nn.moments import moments_of
from tests.models.vrae.tiny import bits, generator

MOMENTS = ["erf3", "wang_manning", "breze"]


def make(**options):
    return FDRNN(3, 5, **({"dtype": torch.float64} | options))


@pytest.mark.parametrize("moments", MOMENTS)
def test_logits_stand_for_clipped_mean_probabilities(moments):
    network, before = make(moments=moments, rate=0.3), bits(6, 2, 3)
    logits, _ = network(before)
    hidden, _ = network.recurrent(before)
    mean, _ = moments_of("sigmoid", moments)(*network.output.linear(*hidden))
    torch.testing.assert_close(logits.sigmoid(), 0.999 * mean + 0.0005)
    assert network.recurrent.l0.hidden_projection.rate == network.output.linear.rate == 0.3
    nll = bernoulli_nll(logits, before)
    probability = torch.where(before == 1, logits.sigmoid(), 1 - logits.sigmoid())
    torch.testing.assert_close(nll, -probability.log().sum(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("moments", MOMENTS)
def test_no_bit_is_certain(moments, dtype):
    """In bfloat16, too, and under autocast, where the largest probability would be 1."""
    output = BernoulliOutput(1, 2, rate=0.0, moments=moments)
    torch.nn.init.ones_(output.linear.weight)
    with torch.no_grad():
        output.linear.bias.copy_(torch.tensor([-100.0, 100.0]))
    mean = torch.zeros(1, 1)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = output(mean, mean)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.sigmoid(), torch.tensor([[0.0005, 0.9995]]), rtol=1e-3, atol=0)
    most = torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(bernoulli_nll(logits, most), torch.tensor([2 * 7.6009]), rtol=1e-3, atol=0)
    assert most_likely(logits).equal(1 - most)


def test_bits_are_drawn_with_their_probabilities():
    logits = torch.tensor([-2.0, 0.0, 1.0]).expand(100_000, 3)
    drawn = draw_bits(logits, generator())
    assert drawn.unique().tolist() == [0, 1]
    torch.testing.assert_close(drawn.mean(0), logits[0].sigmoid(), rtol=0, atol=0.008)


def test_a_step_is_predicted_from_the_steps_before():
    network, before = make(), bits(5, 1, 3).requires_grad_()
    logits, _ = network(before)
    for t in range(5):
        (slope,) = torch.autograd.grad(logits[t].sum(), before, retain_graph=True)
        assert slope.ne(0).any(-1)[:, 0].tolist() == [step <= t for step in range(5)]


def test_a_state_continues_a_sequence():
    network, before = make(), bits(6, 2, 3)
    logits, state = network(before)
    first, between = network(before[:2])
    second, final = network(before[2:], between)
    torch.testing.assert_close(torch.cat([first, second]), logits)
    assert [tuple(part.shape) for part in final] == [(1, 2, 5)] * 2
    torch.testing.assert_close(final, state)


def test_padded_sequences_are_as_if_alone():
    network, before, lengths = make(), bits(6, 3, 3), [4, 6, 2]
    for n, length in enumerate(lengths):
        before[length:, n] = torch.nan
    logits, state = network(before, lengths=lengths)
    for n, length in enumerate(lengths):
        alone, own = network(before[:length, n : n + 1])
        torch.testing.assert_close(logits[:length, n : n + 1], alone)
        assert logits[length:, n].eq(0).all()
        torch.testing.assert_close([part[:, n : n + 1] for part in state], list(own))


def test_it_learns():
    network = make(rate=0.0)
    x = torch.eye(3, dtype=torch.float64).repeat(3, 1)[:, None]  # one of three bits after the other
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(150):
        loss = functional.binary_cross_entropy_with_logits(network(x[:-1])[0], x[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


X = torch.zeros(3, 2, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: FDRNN(0, 5), ValueError, "features: got 0, needs a number above 0"),
        (lambda: FDRNN(4, 0), ValueError, "hidden_size: got 0, needs a number above 0"),
        (lambda: FDRNN(4, 5, rate=2), ValueError, "rate: got 2, needs a probability from 0 to 1"),
        (lambda: FDRNN(4, 5, moments="exact"), ValueError, "moments: got 'exact', needs one of"),
        (lambda: FDRNN(4, 5)(X[:0]), ValueError, r"before: got shape \(0, 2, 4\), needs \(T, N, 4\) with T above 0"),
        (lambda: FDRNN(4, 5)(X.double()), TypeError, "before: got dtype torch.float64, needs torch.float32"),
        (lambda: FDRNN(4, 5)(X, X), TypeError, "state: got Tensor, needs mean and variance of the hidden state"),
        (lambda: FDRNN(4, 5)(X, lengths=[1]), ValueError, r"lengths: got \[1\], needs \(2,\) integers"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
