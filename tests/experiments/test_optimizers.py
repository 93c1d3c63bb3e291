"""RMSprop with Nesterov's momentum goes step by step where its equations do."""

import pytest
import torch

from fastladder.experiments.optimizers import NesterovRMSprop


def gradient_of(theta):
    """That of a bowl which is steeper one way than the other, and bent."""
    return torch.stack([2 * theta[0] + theta[1] ** 3, 20 * theta[1] + 3 * theta[0] * theta[1] ** 2])


def cost_of(theta):
    return theta[0] ** 2 + 10 * theta[1] ** 2 + theta[0] * theta[1] ** 3


def test_steps_are_those_of_the_equations():
    alpha, gamma, beta = 0.03, 0.8, 0.95
    start = torch.tensor([1.0, -0.7], dtype=torch.float64)
    theta, square, update = start.clone(), torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    ahead = start.clone().requires_grad_()
    optimizer = NesterovRMSprop([ahead], lr=alpha, decay=gamma, momentum=beta)
    for _ in range(20):
        gradient = gradient_of(theta - beta * update)
        square = gamma * square + (1 - gamma) * gradient**2
        update = beta * update + alpha * gradient / (square + 1e-8).sqrt()
        theta = theta - update
        optimizer.zero_grad()
        cost_of(ahead).backward()
        optimizer.step()
        torch.testing.assert_close(ahead.detach(), theta - beta * update)


def test_it_comes_to_the_bottom_and_goes_on_from_its_state():
    def run(optimizer, theta, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            cost_of(theta).backward()
            optimizer.step()

    whole = torch.tensor([1.0, -0.7], requires_grad=True)
    optimizer = NesterovRMSprop([whole], lr=0.01, momentum=0.8)
    run(optimizer, whole, 200)
    assert cost_of(whole) < 1e-3
    first = torch.tensor([1.0, -0.7], requires_grad=True)
    before = NesterovRMSprop([first], lr=0.01, momentum=0.8)
    run(before, first, 80)
    second = first.detach().clone().requires_grad_()
    after = NesterovRMSprop([second], lr=0.5)
    after.load_state_dict(before.state_dict())
    run(after, second, 120)
    assert second.equal(whole)


def test_a_closure_is_called_and_parameters_without_a_gradient_stay():
    used, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = NesterovRMSprop([used, unused], lr=0.1)

    def closure():
        optimizer.zero_grad()
        cost = cost_of(used)
        cost.backward()
        return cost

    assert optimizer.step(closure).item() == 12
    assert not used.equal(torch.ones(2))
    assert unused.equal(torch.ones(2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 0.0}, "lr: got 0.0, needs a number above 0"),
        ({"decay": 1.0}, "decay: got 1.0, needs 0 or more and less than 1"),
        ({"momentum": -0.1}, "momentum: got -0.1"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        NesterovRMSprop([torch.ones(1, requires_grad=True)], **options)
