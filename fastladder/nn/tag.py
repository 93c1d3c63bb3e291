"""iTerative Amortized Grouping, TAG, around any network."""

from collections.abc import Sequence
from math import prod
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import TypedDict

from fastladder.nn.batch_statistics import BatchNormalized
from fastladder.nn.checks import check_shape, check_size, reads_values
from fastladder.nn.reset import reset_children
from fastladder.nn.tag_likelihoods import Bernoulli, Gaussian, normal_like
from fastladder.ops.checks import NORMS, check_flag, check_option
from fastladder.ops.grouping import DELTAS, MOST_GROUPS

Likelihood = Literal["gaussian", "bernoulli"]
Delta = Literal["residual", "weighted", "gradient"]

LIKELIHOOD: Likelihood = "gaussian"
INITIAL_VARIANCE = 1 + 2**0.5  # the authors', whose weight w of the variance starts at 1
REMOVED = -1e4  # the mask logit of a removed group, finite in float16 too; its mask is 0


class TagOptions(TypedDict, total=False):
    """The keyword arguments of `Tag` that a network around it takes as well and hands on.

    Such a network declares `**options: Unpack[TagOptions]`. `Tag` describes them and has their defaults.
    """

    groups: int
    iterations: int
    likelihood: Likelihood
    noise: float
    initial_mean: float
    initial_variance: float
    delta: Delta
    legacy_variance: bool
    pre_sigmoid: bool
    validate: bool


class TagOutput(NamedTuple):
    """What `Tag` returns after T iterations over N samples."""

    means: tuple[Tensor, ...]  # T times (N, K, *D): the reconstruction of the input by each group
    masks: tuple[Tensor, ...]  # T times (N, K, *D): the probability that an element belongs to a group
    costs: Tensor  # (T, N): the negative log likelihood of the target, in nats per element
    others: tuple[tuple[Any, ...], ...]  # T times what the mapping returned beside z and mask logits

    @property
    def cost(self) -> Tensor:
        """The mean over iterations and samples: what training minimises."""
        return self.costs.mean()


class Grouping(NamedTuple):
    """How K groups explain N samples: what one iteration of `Tag` hands to the next."""

    mean: Tensor  # (N, K, *D), the reconstruction of the input by each group
    mask: Tensor  # (N, K, *D), the probability that an element belongs to a group
    shown: Tensor  # (N, K, *D), what the mapping gets of the reconstruction: z, or the mean that it stands for


class Tag(nn.Module):
    r"""iTerative Amortized Grouping, TAG (Tagger, Greff et al., 2016, Algorithm 1).

    K groups explain one input together. In each iteration the same mapping f improves every group's reconstruction of
    the input (z) and its mask (m), the probability that an element belongs to the group, given how both fit the
    corrupted input (see `fastladder.ops.group_evidence`):

    .. math::
        z_k^{i+1}, \, l_k^{i+1} = f(z_k^i, m_k^i, \delta_k^i, L_k^i), \qquad
        m^{i+1} = \mathrm{softmax}_k(l^{i+1}), \qquad
        C = - \sum_i \log \sum_k m_k^i \, q(x | z_k^i)

    The first mask is the softmax of random numbers, the first z the same number everywhere. The cost is that of the
    clean input x.

    Args:
        mapping: a module from features (N * K, 4, *D), in the order z, m, delta, L, to a tuple of z and mask logits,
            (N * K, *D) each; whatever else it returns is in the output. With likelihood "bernoulli" its z are logits.
        data_shape: *D, of one sample; an integer for a single dimension.
        groups: K, 1 to 32.
        iterations: T.
        likelihood: "gaussian" for real data, "bernoulli" for data of 0 and 1.
        noise: of the corruption: a standard deviation, or the probability with which a bit is flipped.
        initial_mean: the first z. The mean of the data is best.
        initial_variance: with likelihood "gaussian", the initial value of the learned variance. The default is that of
            the authors' code; it shrinks slowly, so that 0.03 is better for data in [0, 1] and a short training.
        delta: "residual", "weighted" or "gradient", with likelihood "gaussian" (see `fastladder.ops.group_evidence`).
        legacy_variance: with likelihood "gaussian", uses the learned variance as a deviation in the evidence, as the
            authors' code does.
        pre_sigmoid: with likelihood "bernoulli", whether the mapping gets z as it has returned it, a logit, as in the
            authors' code, or the probability that it stands for, as Algorithm 3 of the paper has it.
        norm: normalises z and mask logits of the mapping: "batch" (per element over samples and groups, by the
            statistics of the batch also in evaluation), "layer" (over the elements of every group) or "none". z then
            has a gain and a bias per element, the mask logits one gain.
        validate: whether to check that the first mask sums to one and that binary data is binary. Under torch.compile
            and torch.func neither is checked.

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
        likelihood: Likelihood = LIKELIHOOD,
        noise: float = 0.2,
        initial_mean: float = 0.5,
        initial_variance: float = INITIAL_VARIANCE,
        delta: Delta = "residual",
        legacy_variance: bool = False,
        pre_sigmoid: bool = True,
        norm: str = "none",
        validate: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.data_shape = check_shape("data_shape", data_shape)
        groups, iterations = check_groups(groups), check_size("iterations", iterations)
        check_option("likelihood", likelihood, get_args(Likelihood))
        check_option("delta", delta, DELTAS)
        check_option("norm", norm, NORMS)
        check_flag("legacy_variance", legacy_variance)
        check_flag("pre_sigmoid", pre_sigmoid)
        check_flag("validate", validate)
        self.groups, self.iterations, self.validate = groups, iterations, validate
        self.pre_sigmoid = pre_sigmoid
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
        """Draws the parameters of the mapping anew; all others get their initial values."""
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
            corrupt: whether the mapping gets a corrupted target; None: in training only.
            noisy: the corrupted target, (N, *D); None: it is drawn.
            mask: the first mask, (N, K, *D), which sums to 1 over K; None: random.
            groups: K; None: that of the mask, or else that of the constructor.
            iterations: T; None: that of the constructor.
            remove: (N, K) bool, groups whose mask becomes 0 in the last iteration, so that the others take over their
                elements.
            generator: of the corruption and the first mask, on the device of the target.

        Returns:
            `TagOutput`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype, device or value; the message names it.
        """
        groups = self.number_of_groups(groups, mask)
        iterations = self.iterations if iterations is None else check_size("iterations", iterations)
        self.check(target, noisy, mask, groups, remove)
        noisy = self.corrupted(target, corrupt, generator) if noisy is None else noisy
        grouping = self.begin(target, groups, mask, generator)
        means, masks, costs, others = [], [], [], []
        for iteration in range(iterations):
            z, logits, *rest = self.propose(noisy, grouping)
            if remove is not None and iteration == iterations - 1:
                logits = logits.masked_fill(remove.view(*remove.shape, *[1] * len(self.data_shape)), REMOVED)
            cost, grouping = self.explain(target, z, logits)
            means.append(grouping.mean)
            masks.append(grouping.mask)
            costs.append(cost)
            others.append(tuple(rest))
        return TagOutput(tuple(means), tuple(masks), torch.stack(costs), tuple(others))

    def number_of_groups(self, groups: int | None, mask: Tensor | None) -> int:
        """K: as asked, else that of the first mask, else that of the constructor. Neither need have been checked."""
        if groups is not None:
            return groups
        return mask.shape[1] if isinstance(mask, Tensor) and mask.dim() > 1 else self.groups

    def corrupted(self, data: Tensor, corrupt: bool | None, generator: torch.Generator | None) -> Tensor:
        """Data of any shape with noise, or as it is, as the mapping gets it. None: with noise in training only."""
        corrupt = self.training if corrupt is None else corrupt
        return self.likelihood.corrupt(data, generator) if corrupt else data

    def begin(
        self, target: Tensor, groups: int, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Grouping:
        """The grouping before the first iteration: the same mean everywhere, and a random mask if none is given.

        Args:
            target: (N, *D), of which only shape, dtype and device matter.
            groups, mask, generator: as for `forward`.
        """
        if mask is None:
            mask = normal_like(target.new_empty(target.shape[0], groups, *self.data_shape), generator).softmax(1)
        mean = torch.full_like(mask, self.initial_mean)
        return Grouping(mean, mask, mean)

    def propose(self, noisy: Tensor, grouping: Grouping, *arguments: Any) -> tuple[Any, ...]:
        """The first half of an iteration: z and mask logits, (N, K, *D) each, and what else the mapping returns.

        Args:
            noisy: (N, *D).
            grouping: after the iteration before.
            arguments: that the mapping takes beside its features.
        """
        mean, mask, shown = grouping
        features = self.likelihood.features(noisy.to(mean.dtype), mean, mask.to(mean.dtype))
        if shown is not mean:
            features = torch.cat((shown.unsqueeze(2), features[:, :, 1:]), 2)
        shape = tuple(mean.shape)
        z, logits, *rest = check_mapped(self.mapping(features.flatten(0, 1), *arguments), shape)
        return (*self.readout(z.view(shape), logits.view(shape)), *rest)

    def explain(self, target: Tensor, z: Tensor, logits: Tensor) -> tuple[Tensor, Grouping]:
        """The second half of an iteration: the cost of the target (N, *D), (N,) nats per element, and the grouping.

        Args:
            target: (N, *D).
            z, logits: that `propose` returned.
        """
        cost, mask = self.likelihood.nll(target.to(z.dtype), z, logits)
        mean = self.likelihood.mean(z)
        return cost / max(1, prod(self.data_shape)), Grouping(mean, mask, z if self.pre_sigmoid else mean)

    def check(
        self, target: Tensor, noisy: Tensor | None, mask: Tensor | None, groups: int, remove: Tensor | None = None
    ) -> None:
        """Checks the arguments of `forward`."""
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

    def extra_repr(self) -> str:
        return f"data_shape={self.data_shape}, groups={self.groups}, iterations={self.iterations}"


class Readout(BatchNormalized):
    """Normalises the output of a mapping: z with a gain and a bias per element, the mask logits with one gain."""

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
        """Normalises z and mask logits, (N, K, *D) each."""
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
    """Checks a number of groups, 1 to 32, and returns it as an int."""
    groups = check_size("groups", groups)
    if groups > MOST_GROUPS:
        raise ValueError(f"groups: got {groups}, needs {MOST_GROUPS} or less")
    return groups


def check_mask(mask: Tensor) -> None:
    """Checks that a mask (N, K, *D) is 0 or more everywhere and sums to one over K."""
    if mask.numel() and not mask.min() >= 0:
        raise ValueError(f"mask: got {mask.min().item():g}, needs 0 or more")
    sums = mask.float().sum(1)
    if sums.numel() and not (sums - 1).abs().max() < 0.01:  # bfloat16 rounds the sum
        raise ValueError(f"mask: sums over groups are {sums.min().item():g} to {sums.max().item():g}, needs 1")


def check_mapped(outputs: Any, shape: tuple[int, ...]) -> Sequence[Any]:
    """Checks that a mapping returned z and mask logits, (N * K, *D) each, for the shape (N, K, *D)."""
    needed = torch.Size((shape[0] * shape[1], *shape[2:]))
    if not isinstance(outputs, (tuple, list)) or len(outputs) < 2:
        raise TypeError(f"mapping: it returned {type(outputs).__name__}, needs a tuple of z and mask logits")
    for name, tensor in zip(("z", "mask logits"), outputs, strict=False):
        if tensor.shape != needed:
            raise ValueError(f"mapping: it returned {name} of shape {tuple(tensor.shape)}, needs {tuple(needed)}")
    return outputs
