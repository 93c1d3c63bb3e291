"""What VRAE alone does: all of a sequence is seen, z alone generates it, and missing bits are filled in."""

import pytest
import torch

from fastladder.models import VRAE
from tests.models.vrae.tiny import bits, generator, make


def test_every_step_depends_on_all_steps():
    network, x = make("VRAE", posterior="markov"), bits(4, 1, 3)
    inputs = x.requires_grad_()
    mean = network.encode(inputs).mean
    z = mean.detach().requires_grad_()
    logits = network.decode(z)
    for output, source in ((mean, inputs), (logits, z)):
        for t in range(4):
            (slope,) = torch.autograd.grad(output[t].sum(), source, retain_graph=True)
            assert slope.ne(0).any(-1).all()


def test_decoding_knows_no_padding():
    network, z = make("VRAE"), torch.randn(5, 2, 2, dtype=torch.float64)
    logits = network.decode(z, [5, 3])
    torch.testing.assert_close(logits[:3, 1:], network.decode(z[:3, 1:]))
    assert not torch.allclose(logits[:3, 1:], network.decode(z)[:3, 1:])


def test_imputation_changes_what_is_missing_alone():
    network, x = make("VRAE"), bits(6, 4, 3)
    missing = torch.rand(x.shape, generator=generator(3)) < 0.4
    unknown = x.masked_fill(missing, torch.nan)  # what stands there does not matter
    filled = network.impute(unknown, missing, generator=generator())
    assert filled[~missing].equal(x[~missing])
    assert ((filled == 0) | (filled == 1)).all()
    assert filled.equal(network.impute(x, missing, generator=generator()))
    assert network.impute(x, missing & False).equal(x)


def test_imputation_is_the_loop_of_the_paper():
    network, x = make("VRAE"), bits(6, 4, 3)
    missing = torch.zeros(6, 4, 3, dtype=torch.bool)
    missing[1:4] = True
    needed = torch.where(missing, torch.rand(x.shape, generator=generator()).double(), x)
    for rounds in range(1, 4):
        likely = network.decode(network.encode(needed).mean).sigmoid() > 0.5
        needed = torch.where(missing, likely.double(), x)
        assert network.impute(x, missing, rounds, generator=generator()).equal(needed)


def test_imputation_with_lengths_is_as_if_alone():
    network, x, lengths = make("VRAE"), bits(6, 3, 3), [4, 6, 2]
    missing = torch.zeros(6, 3, 3, dtype=torch.bool)
    missing[1] = missing[5] = True
    # After one round the first draw still matters, which is another one without padding: with many it does not here.
    filled = network.impute(x, missing, lengths=lengths, generator=generator())
    for n, length in enumerate(lengths):
        own = slice(n, n + 1)
        torch.testing.assert_close(
            filled[:length, own], network.impute(x[:length, own], missing[:length, own], generator=generator())
        )
        assert filled[length:, n].eq(0).all()


def test_it_fills_in_what_it_has_learned():
    network = make("VRAE", scale=1.0, features=2, latent_size=1, hidden_size=8)
    x = torch.zeros(5, 16, 2, dtype=torch.float64)
    x[:, :8, 0] = x[:, 8:, 1] = 1  # either bit throughout
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for step in range(120):
        optimizer.zero_grad()
        network(x, generator=generator(step)).objective.backward()
        optimizer.step()
    missing = torch.zeros(5, 16, 2, dtype=torch.bool)
    missing[2] = True
    assert network.impute(x, missing, generator=generator()).equal(x)


X = torch.zeros(3, 2, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.impute(X, X), ValueError, r"missing: got torch.float32 \(3, 2, 4\), needs torch.bool \(3, 2, 4\)"),
        (lambda m: m.impute(X, X[:2] > 0), ValueError, r"missing: got torch.bool \(2, 2, 4\), needs torch.bool"),
        (lambda m: m.impute(X, True), TypeError, "missing: got bool, needs a tensor"),
        (lambda m: m.impute(X, X > 0, 0), ValueError, "rounds: got 0, needs a number above 0"),
        (lambda m: m.impute(X[0], X > 0), ValueError, r"x: got shape \(2, 4\), needs \(T, N, 4\)"),
        (lambda m: m.decode(X), ValueError, r"z: got shape \(3, 2, 4\), needs \(T, N, 2\) with T above 0"),
        (lambda m: m.decode(X[..., :2].double()), TypeError, "z: got dtype torch.float64, needs torch.float32"),
        (lambda m: m.decode(X[..., :2], [4, 1]), ValueError, "lengths: got 1 to 4, needs 1 to 3"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(VRAE(4, 2, 5))
