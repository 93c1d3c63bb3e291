"""iTerative Amortized Grouping around any network."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.batch_statistics import BatchNormalized
from fastladder.nn.checks import check_shape, check_size, reads_values
from fastladder.nn.reset import reset_children
from fastladder.nn.tag_likelihoods import Bernoulli, Gaussian, normal_like
from fastladder.ops.checks import NORMS, check_flag, check_option
from fastladder.ops.grouping import DELTAS, MOST_GROUPS

LIKELIHOODS = ("gaussian", "bernoulli")
INITIAL_VARIANCE = 1 + 2**0.5  # w is 1
REMOVED = -1e4  # the mask logit of a group that is removed: its mask is 0, and it is a number in float16 too


class TagOutput(NamedTuple):
    """What `Tag` answers after T iterations over N samples."""

    means: tuple[Tensor, ...]  # T times (N, K, *D): what each group takes the input for
    masks: tuple[Tensor, ...]  # T times (N, K, *D): how likely each element belongs to each group
    costs: Tensor  # (T, N): the negative log likelihood of the target, in nats per element
    answers: tuple[tuple[Any, ...], ...]  # T times what else the mapping answered

    @property
    def cost(self) -> Tensor:
        """The mean over iterations and samples: what training minimises."""
        return self.costs.mean()


class Tag(nn.Module):
    r"""iTerative Amortized Grouping, TAG (Tagger, Greff et al., 2016, Algorithm 1).

    K groups explain one input together. In each iteration the same mapping f improves what every group takes the input
    for (z) and which elements it claims (m), given how both fit the corrupted input (see
    `fastladder.ops.group_evidence`):

    .. math::
        z_k^{i+1}, \, l_k^{i+1} = f(z_k^i, m_k^i, \delta_k^i, L_k^i), \qquad
        m^{i+1} = \mathrm{softmax}_k(l^{i+1}), \qquad
        C = - \sum_i \log \sum_k m_k^i \, q(x | z_k^i)

    The first mask is the softmax of random numbers, the first z the same for all. The cost is taken of the clean input.

    Args:
        mapping: a module from features (N * K, 4, *D), in the order z, m, delta, L, to a tuple of z and mask logits,
            (N * K, *D) each; whatever else it answers is handed on. With likelihood "bernoulli" its z are logits.
        data_shape: *D, of one sample; an integer for a single dimension.
        groups: K, 1 to 32.
        iterations: T.
        likelihood: "gaussian" for real data, "bernoulli" for data of 0 and 1.
        noise: of the corruption: a standard deviation, or the probability with which a bit is flipped.
        initial_mean: the first z, best the mean of the data.
        initial_variance: with likelihood "gaussian", the variance that learning starts from. The default is that of the
            authors' code; it is slow to shrink, so for data in [0, 1] and a short training 0.03 is better.
        delta: "residual", "weighted" or "gradient", with likelihood "gaussian" (see `fastladder.ops.group_evidence`).
        legacy_variance: with likelihood "gaussian", uses the learned variance as a deviation in the evidence, as the
            authors' code does.
        norm: normalises what the mapping answers: "batch" (per element over samples and groups, by the statistics of
            the batch always), "layer" (over the elements of every group) or "none". z then has a gain and a bias per
            element, the mask logits one gain.
        validate: whether values are checked, except under torch.compile and torch.func: that a first mask sums to one,
            and that binary data is binary.

    Raises:
        ValueError, TypeError: an argument is out of range; the message names it.
    """

    def __init__(
        self,
        mapping: nn.Module,
        data_shape: int | Sequence[int],
        *,
        groups: int = 4,
        iterations: int = 3,
        likelihood: str = "gaussian",
        noise: float = 0.2,
        initial_mean: float = 0.5,
        initial_variance: float = INITIAL_VARIANCE,
        delta: str = "residual",
        legacy_variance: bool = False,
        norm: str = "none",
        validate: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.data_shape = check_shape("data_shape", data_shape)
        groups, iterations = check_groups(groups), check_size("iterations", iterations)
        check_option("likelihood", likelihood, LIKELIHOODS)
        check_option("delta", delta, DELTAS)
        check_option("norm", norm, NORMS)
        check_flag("legacy_variance", legacy_variance)
        check_flag("validate", validate)
        self.groups, self.iterations, self.validate = groups, iterations, validate
        self.initial_mean = initial_mean
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        if not callable(mapping):
            raise TypeError(f"mapping: got {mapping!r}, needs a module")
        self.mapping = mapping if device is None and dtype is None else mapping.to(**factory)
        self.likelihood: Gaussian | Bernoulli
        if likelihood == "gaussian":
            self.likelihood = Gaussian(
                noise, initial_variance=initial_variance, delta=delta, legacy_variance=legacy_variance, **factory
            )
        else:
            self.likelihood = Bernoulli(noise)
        self.readout = Readout(self.data_shape, norm, **factory)

    def reset_parameters(self) -> None:
        """The mapping is drawn anew, and everything else becomes as it was at first."""
        reset_children(self)

    def forward(
        self,
        target: Tensor,
        *,
        corrupt: bool | None = None,
        noisy: Tensor | None = None,
        mask: Tensor | None = None,
        groups: int | None = None,
        iterations: int | None = None,
        remove: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> TagOutput:
        """Groups the target.

        Args:
            target: x, (N, *D).
            corrupt: whether the mapping sees a corrupted target; None: in training.
            noisy: what it sees instead, (N, *D).
            mask: the first mask, (N, K, *D), which sums to 1 over K; None: random.
            groups: K, where it is not that of training.
            iterations: T, where it is not that of training.
            remove: (N, K) bool, groups whose mask becomes 0 in the last iteration, so that the others fill in.
            generator: the source of chance, on the device of the target.

        Returns:
            `TagOutput`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype, device or value; the message names it.
        """
        if groups is None:
            groups = mask.shape[1] if isinstance(mask, Tensor) and mask.dim() > 1 else self.groups
        turns = self.iterations if iterations is None else check_size("iterations", iterations)
        shape = self._check(target, noisy, mask, groups, remove)
        if noisy is None:
            chance = self.training if corrupt is None else corrupt
            noisy = self.likelihood.corrupt(target, generator) if chance else target
        if mask is None:
            mask = normal_like(target.new_empty(shape), generator).softmax(1)
        mean = torch.full_like(mask, self.initial_mean)
        means, masks, costs, answers = [], [], [], []
        for turn in range(turns):
            features = self.likelihood.features(noisy.to(mean.dtype), mean, mask.to(mean.dtype))
            answer, logits, *others = check_answers(self.mapping(features.flatten(0, 1)), shape)
            answer, logits = self.readout(answer.view(shape), logits.view(shape))
            if remove is not None and turn == turns - 1:
                logits = logits.masked_fill(remove.view(*remove.shape, *[1] * len(self.data_shape)), REMOVED)
            cost, mask = self.likelihood.nll(target.to(answer.dtype), answer, logits)
            mean = self.likelihood.mean(answer)
            means.append(mean)
            masks.append(mask)
            costs.append(cost / max(1, prod(self.data_shape)))
            answers.append(tuple(others))
        return TagOutput(tuple(means), tuple(masks), torch.stack(costs), tuple(answers))

    def _check(
        self, target: Tensor, noisy: Tensor | None, mask: Tensor | None, groups: int, remove: Tensor | None
    ) -> tuple[int, ...]:
        """Checks the arguments of `forward` and answers (N, K, *D)."""
        groups = check_groups(groups)
        if not isinstance(target, Tensor):
            raise TypeError(f"target: got {type(target).__name__}, needs a tensor")
        if target.shape[1:] != self.data_shape or not target.is_floating_point():
            needed = f"floating point (N, {', '.join(map(str, self.data_shape))})"
            raise ValueError(f"target: got {target.dtype} of shape {tuple(target.shape)}, needs {needed}")
        shape = (target.shape[0], groups, *self.data_shape)
        needed_shapes = {"noisy": (noisy, target.shape), "mask": (mask, shape), "remove": (remove, shape[:2])}
        for name, (tensor, needed_shape) in needed_shapes.items():
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
            if tensor is not None and tensor.shape != torch.Size(needed_shape):
                raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs {tuple(needed_shape)}")
        if remove is not None and remove.dtype != torch.bool:
            raise TypeError(f"remove: got dtype {remove.dtype}, needs torch.bool")
        if self.validate and reads_values(target):
            self.likelihood.check("target", target)
            if noisy is not None:
                self.likelihood.check("noisy", noisy)
            if mask is not None:
                check_mask(mask)
        return shape

    def extra_repr(self) -> str:
        return f"data_shape={self.data_shape}, groups={self.groups}, iterations={self.iterations}"


class Readout(BatchNormalized):
    """Normalises what a mapping answers: z with a gain and a bias per element, the mask logits with one gain."""

    eps = 1e-10

    def __init__(self, data_shape: tuple[int, ...], norm: str, **factory: Any) -> None:
        super().__init__()
        self.norm = norm
        if norm != "none":
            self.mean_gain = nn.Parameter(torch.empty(data_shape, **factory))
            self.mean_bias = nn.Parameter(torch.empty(data_shape, **factory))
            self.mask_gain = nn.Parameter(torch.empty((), **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Gains become 1, the bias 0."""
        if self.norm != "none":
            nn.init.ones_(self.mean_gain)
            nn.init.zeros_(self.mean_bias)
            nn.init.ones_(self.mask_gain)

    def forward(self, mean: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Of tensors (N, K, *D)."""
        if self.norm == "none":
            return mean, mask_logits
        return self.mean_gain * self._normalize(mean) + self.mean_bias, self.mask_gain * self._normalize(mask_logits)

    def _normalize(self, x: Tensor) -> Tensor:
        if self.norm == "layer":
            return functional.layer_norm(x, x.shape[2:], eps=self.eps)
        return self.normalize(x.flatten(0, 1).flatten(1), self.eps).view(x.shape)

    def extra_repr(self) -> str:
        return f"norm={self.norm!r}"


def check_groups(groups: int) -> int:
    """Refuses a number of groups that the operators do not take."""
    groups = check_size("groups", groups)
    if groups > MOST_GROUPS:
        raise ValueError(f"groups: got {groups}, needs {MOST_GROUPS} or less")
    return groups


def check_mask(mask: Tensor) -> None:
    """Refuses a mask (N, K, *D) that is negative anywhere or does not sum to one over K."""
    if mask.numel() and not mask.min() >= 0:
        raise ValueError(f"mask: got {mask.min().item():g}, needs 0 or more")
    sums = mask.float().sum(1)
    if sums.numel() and not (sums - 1).abs().max() < 0.01:  # what bfloat16 leaves of a sum
        raise ValueError(f"mask: sums over groups are {sums.min().item():g} to {sums.max().item():g}, needs 1")


def check_answers(answers: Any, shape: tuple[int, ...]) -> Sequence[Any]:
    """Refuses what a mapping answers if it does not begin with z and mask logits for samples and groups (N, K, *D)."""
    needed = torch.Size((shape[0] * shape[1], *shape[2:]))
    if not isinstance(answers, (tuple, list)) or len(answers) < 2:
        raise TypeError(f"mapping: it answered {type(answers).__name__}, needs a tuple of z and mask logits")
    for name, tensor in zip(("z", "mask logits"), answers, strict=False):
        if tensor.shape != needed:
            raise ValueError(f"mapping: it answered {name} of shape {tuple(tensor.shape)}, needs {tuple(needed)}")
    return answers
