"""What VOSP alone does: it sees no later step, and works step by step."""

import pytest
import torch

from fastladder.models import VOSP, VOSPState
from tests.models.vrae.tiny import bits, make

every_posterior = pytest.mark.parametrize("posterior", ["diagonal", "markov"])


def seen_steps(outputs, inputs):
    """Which steps of the inputs (T, 1, *) every step of the outputs (T, 1, *) depends on: (T, T) booleans."""
    rows = [torch.autograd.grad(output.sum(), inputs, retain_graph=True)[0] for output in outputs]
    return torch.stack([row.ne(0).flatten(1).any(1) for row in rows])


@every_posterior
def test_the_posterior_sees_the_steps_so_far(posterior):
    network, x = make("VOSP", posterior=posterior), bits(5, 1, 3).requires_grad_()
    q, so_far = network.encode(x), torch.ones(5, 5).tril().bool()
    for part in (q.mean, q.var):
        assert seen_steps(part, x).equal(so_far)


def test_a_prediction_sees_the_steps_before_and_its_own_z():
    network, x = make("VOSP"), bits(5, 1, 3).requires_grad_()
    z = torch.randn(5, 1, 2, dtype=torch.float64, requires_grad=True)
    logits = network.decode(z, x)
    assert seen_steps(logits, x).equal(torch.ones(5, 5).tril(-1).bool())
    assert seen_steps(logits, z).equal(torch.eye(5).bool())


@every_posterior
@torch.no_grad()
def test_the_bound_of_a_step_does_not_depend_on_later_steps(posterior):
    network, x, noise = make("VOSP", posterior=posterior), bits(5, 2, 3), torch.randn(5, 2, 2, dtype=torch.float64)
    whole = network(x, noise=noise)
    for steps in range(1, 5):
        other = torch.cat([x[:steps], 1 - x[steps:]])
        cut = network(other, noise=noise)
        assert cut.reconstruction[:steps].equal(whole.reconstruction[:steps])
        assert cut.kl[:steps].equal(whole.kl[:steps])
        assert not cut.reconstruction[steps:].equal(whole.reconstruction[steps:])


@every_posterior
@torch.no_grad()
def test_step_by_step_it_denoises_and_infers_the_same(posterior):
    network, x = make("VOSP", posterior=posterior), bits(6, 4, 3)
    q, denoised = network.encode(x), network.denoise(x)
    logits = network.decode(q.mean, x)
    state = None
    for t in range(6):
        step = network.step(x[t], state)
        torch.testing.assert_close(step.mean, q.mean[t])
        torch.testing.assert_close(step.var, q.var[t])
        torch.testing.assert_close(step.logits, logits[t])
        assert (step.logits > 0).double().equal(denoised[t])
        state = step.state
    assert isinstance(state, VOSPState)
    assert [tuple(part.shape) for pair in state for part in pair] == [(1, 4, 5)] * 2 + [(4, 2)] * 2
    assert denoised.unique().tolist() == [0, 1]


@torch.no_grad()
def test_denoising_knows_no_padding():
    network, x, lengths = make("VOSP"), bits(6, 3, 3), [4, 6, 2]
    denoised = network.denoise(x, lengths)
    for n, length in enumerate(lengths):
        assert denoised[:length, n : n + 1].equal(network.denoise(x[:length, n : n + 1]))
        assert denoised[length:, n].eq(0).all()


def test_it_switches_off_notes_that_never_sound():
    network = make("VOSP", scale=1.0, features=2, latent_size=1, hidden_size=8)
    x = torch.zeros(6, 16, 2, dtype=torch.float64)
    x[:, :, 0] = 1
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        network(x).objective.backward()
        optimizer.step()
    noisy = x.clone()
    noisy[3] = 1
    assert network.denoise(noisy).equal(x)


X = torch.zeros(3, 2, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.step(X), ValueError, r"x: got shape \(3, 2, 4\), needs \(N, 4\)"),
        (lambda m: m.step([0]), TypeError, "x: got list, needs a tensor"),
        (lambda m: m.step(X[0].double()), TypeError, "x: got dtype torch.float64, needs torch.float32"),
        (lambda m: m.step(X[0], X), TypeError, "state: got Tensor, needs the VOSPState of an earlier step"),
        (lambda m: m.step(X[0, :1], m.step(X[0]).state), ValueError, r"state\[0\]: got shape \(1, 2, 5\)"),
        (lambda m: m.denoise(X[..., :3]), ValueError, r"x: got shape \(3, 2, 3\), needs \(T, N, 4\)"),
        (lambda m: m.decode(X[..., :3], X), ValueError, r"z: got shape \(3, 2, 3\), needs \(T, N, 2\)"),
        (lambda m: m.decode(X[:2, :, :2], X), ValueError, r"z: got shape \(2, 2, 2\), needs \(3, 2, \*\) to go with x"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(VOSP(4, 2, 5))
