"""What all networks of latent sequences share: arguments, copies, autocast and narrow dtypes."""

import copy
import pickle

import pytest
import torch

from tests.models.vrae.tiny import KERNELS, NETWORKS, bits, generator, make

every_network = pytest.mark.parametrize("name", NETWORKS)
X = torch.zeros(3, 2, 4)


@every_network
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"features": 0}, ValueError, "features: got 0, needs a number above 0"),
        ({"latent_size": 1.5}, TypeError, "latent_size: got 1.5, needs an integer"),
        ({"hidden_size": -1}, ValueError, "hidden_size: got -1, needs a number above 0"),
        ({"posterior": "full"}, ValueError, "posterior: got 'full', needs one of 'diagonal', 'markov'"),
        ({"prior": "brown"}, ValueError, "prior: got 'brown', needs one of 'wiener', 'white'"),
        ({"prior": -torch.eye(2)}, ValueError, "prior: got a matrix whose leading 1 rows are not positive definite"),
        ({"kl": "short"}, ValueError, "kl: got 'short', needs one of 'exact', 'shortcut'"),
        ({"kl": "shortcut", "prior": "white"}, ValueError, "kl: got 'shortcut', needs prior='wiener' and"),
        ({"kl": "shortcut", "posterior": "markov"}, ValueError, "kl: got 'shortcut', needs prior='wiener' and"),
        ({"moments": "delta"}, ValueError, "moments: got 'delta', needs one of"),
    ],
)
def test_bad_declarations_are_named(name, arguments, error, message):
    with pytest.raises(error, match=message):
        NETWORKS[name](**({"features": 4, "latent_size": 2, "hidden_size": 5} | arguments))


@every_network
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m([X]), TypeError, "x: got list, needs a tensor"),
        (lambda m: m(X[0]), ValueError, r"x: got shape \(2, 4\), needs \(T, N, 4\) with T above 0"),
        (lambda m: m(X[:0]), ValueError, r"x: got shape \(0, 2, 4\), needs \(T, N, 4\) with T above 0"),
        (lambda m: m(X.double()), TypeError, "x: got dtype torch.float64, needs torch.float32"),
        (lambda m: m(X, [3]), ValueError, r"lengths: got \[3\], needs \(2,\) integers"),
        (lambda m: m(X, [3, 4]), ValueError, "lengths: got 3 to 4, needs 1 to 3"),
        (lambda m: m(X, noise=X), ValueError, r"noise: got shape \(3, 2, 4\), needs \(3, 2, 2\) to go with x"),
        (lambda m: m(X, noise=X[..., :2].double()), TypeError, "noise: got dtype torch.float64, needs torch.float32"),
        (lambda m: m.encode(X[..., :3]), ValueError, r"x: got shape \(3, 2, 3\), needs \(T, N, 4\)"),
        (lambda m: m.log_likelihood(X, 0), ValueError, "samples: got 0, needs a number above 0"),
        (lambda m: m.sample(0, 3), ValueError, "steps: got 0, needs a number above 0"),
        (lambda m: m.sample(2, 0), ValueError, "n: got 0, needs a number above 0"),
    ],
)
def test_bad_arguments_are_named(name, call, error, message):
    with pytest.raises(error, match=message):
        call(NETWORKS[name](4, 2, 5))


@every_network
def test_a_kernel_has_an_end(name):
    network = NETWORKS[name](4, 2, 5, prior=KERNELS["decaying"][:2, :2])
    network(X[:2])
    for call in (network, network.encode, lambda x: network.log_likelihood(x, 2)):
        with pytest.raises(ValueError, match="x: got 3 time steps, needs 2 at most, as the prior has"):
            call(X)
    with pytest.raises(ValueError, match="steps: got 3 time steps, needs 2 at most"):
        network.sample(3, 1)


@every_network
@pytest.mark.parametrize("posterior", ["diagonal", "markov"])
@pytest.mark.parametrize("prior", ["wiener", "white", KERNELS["smooth"]])
def test_copies_and_stored_states_compute_the_same(name, posterior, prior):
    network, x = make(name, posterior=posterior, prior=prior), bits(4, 2, 3)
    needed = network(x, generator=generator())
    loaded = make(name, scale=0.5, posterior=posterior, prior=prior)
    loaded.load_state_dict(network.state_dict())
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), loaded):
        for ours, theirs in zip(twin(x, generator=generator()), needed, strict=True):
            assert ours.equal(theirs)
    assert str(network).startswith(f"{name}(")


@every_network
def test_reset_draws_new_weights(name):
    network = make(name, posterior="markov")
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 7)
    network.reset_parameters()
    assert not any(parameter.eq(7).any() for parameter in network.parameters())


@every_network
@pytest.mark.parametrize("posterior", ["diagonal", "markov"])
@pytest.mark.parametrize("prior", ["wiener", "white", KERNELS["decaying"]])
def test_autocast_and_narrow_weights(name, posterior, prior):
    network, x = make(name, posterior=posterior, prior=prior).float(), bits(5, 2, 3, dtype=torch.float32)
    noise = torch.randn(5, 2, 2)
    needed = network(x, noise=noise)
    with torch.autocast("cpu", torch.bfloat16):
        cast = network(x, noise=noise)
        estimate, drawn = network.log_likelihood(x, 2), network.sample(3, 2)
    narrow = copy.deepcopy(network).bfloat16()
    narrow_bound = narrow(x.bfloat16(), noise=noise)
    for bound in (cast, narrow_bound):
        assert {part.dtype for part in bound} == {torch.float32}
        torch.testing.assert_close(bound.reconstruction, needed.reconstruction, rtol=0.1, atol=0.1)
        torch.testing.assert_close(bound.kl, needed.kl, rtol=0.1, atol=0.1)
    cast.objective.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert estimate.dtype == drawn.dtype == torch.float32
    assert narrow.sample(3, 2).dtype == torch.bfloat16


@every_network
def test_compiles_without_a_graph_break(name):
    network, x = make(name, posterior="markov"), bits(2, 2, 3)
    noise = torch.randn(2, 2, 2, dtype=torch.float64)
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(compiled(x, noise=noise), network(x, noise=noise), strict=True):
        torch.testing.assert_close(ours, theirs)
