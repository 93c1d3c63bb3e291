"""StepBatchNorm."""

import pytest
import torch

from fastladder.nn import StepBatchNorm


@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 5), (4, 3, 5, 2), (2, 3, 4, 5, 2)])
def test_one_step_is_torch_batch_norm(shape):
    torch.manual_seed(3)
    theirs = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}
    theirs = theirs[len(shape)](3)
    ours = StepBatchNorm(3)
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(ours, name).copy_(getattr(theirs, name).normal_())
    for _ in range(3):
        x = torch.randn(shape) * 2 + 1
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean[0], theirs.running_mean)
    torch.testing.assert_close(ours.running_var[0], theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_every_step_has_its_statistics_and_later_ones_share_the_last():
    norm = StepBatchNorm(2, steps=3, momentum=1.0)
    for step in range(3):
        norm(torch.randn(50, 2) + step, step)
    assert norm.running_mean.round().tolist() == [[0, 0], [1, 1], [2, 2]]
    norm(torch.randn(50, 2) + 9, 7)
    assert norm.running_mean.round().tolist() == [[0, 0], [1, 1], [9, 9]]
    norm.eval()
    x = torch.randn(50, 2)
    for step, index in ((0, 0), (1, 1), (2, 2), (40, 2)):
        needed = (x - norm.running_mean[index]) / (norm.running_var[index] + norm.eps).sqrt()
        torch.testing.assert_close(norm(x, step), needed)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="steps: got 0"):
        StepBatchNorm(2, steps=0)
    with pytest.raises(ValueError, match=r"input: got shape \(2, 3\), needs \(N, 2, \*S\)"):
        StepBatchNorm(2)(torch.rand(2, 3))
    with pytest.raises(ValueError, match="step: got -1"):
        StepBatchNorm(2, steps=2)(torch.rand(2, 2), -1)
