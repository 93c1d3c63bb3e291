"""RTagger: iterative amortized grouping with a Recurrent Ladder network, of images and of sequences."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from typing_extensions import Unpack

from fastladder.models.rladder import Level, RLadderState
from fastladder.models.rtagger.mapping import RLadderMapping
from fastladder.models.tagger import combine_groups
from fastladder.nn.batch_statistics import recomputing
from fastladder.nn.checks import check_shape, check_size, reads_values
from fastladder.nn.tag import Grouping, Tag, TagOptions
from fastladder.ops.checks import check_flag

DEFAULTS: TagOptions = {"groups": 3, "iterations": 3}  # of Table 9


class RTaggerState(NamedTuple):
    """What an RTagger carries from one iteration to the next."""

    grouping: Grouping  # means, masks and what the mapping is shown of the means, (N, K, *D) each
    ladder: (
        RLadderState | None
    )  # of N * K rows, groups of a sample one after the other; None before the first iteration
    step: int  # iterations so far


class RTaggerOutput(NamedTuple):
    """What an `RTagger` returns after T iterations over N samples with K groups."""

    means: tuple[Tensor, ...]  # T times (N, K, *D): the reconstruction, or prediction, by each group
    masks: tuple[Tensor, ...]  # T times (N, K, *D): the probability that an element belongs to a group
    costs: Tensor  # (T, N): the negative log likelihood of the targets, nats per element; T - 1 for a sequence
    log_probabilities: tuple[Tensor, ...]  # T times (N, classes); empty where the network does not classify
    state: RTaggerState  # after the last iteration

    @property
    def cost(self) -> Tensor:
        """(), the mean over iterations and samples, which unsupervised training minimises."""
        return self.costs.mean()


class GeneratedFrames(NamedTuple):
    """Frames that an `RTagger` goes on with by itself."""

    frames: Tensor  # (N, steps, *D)
    means: Tensor  # (N, steps, K, *D)
    masks: Tensor  # (N, steps, K, *D)


class RTagger(nn.Module):
    r"""The recurrent Tagger (Premont-Schwarz et al., 2017, section 4): `fastladder.nn.Tag` around an `RLadder`.

    All groups go through the same RLadder, whose recurrent rows keep a state for each of them from one iteration to the
    next. Of an image all iterations have the same target. Of a sequence every frame has one iteration, whose target is
    the next frame:

    .. math::
        z_k(t + 1), \, l_k(t + 1), \, s_k(t) = f(z_k(t), m_k(t), \delta_k(t), L_k(t), s_k(t - 1)), \qquad
        m(t) = \mathrm{softmax}_k(l(t))

    with :math:`\delta` and L of the corrupted frame x(t). With `classes` the groups' probabilities are summed as those
    of a `fastladder.models.Tagger` are. Batch normalisation is over groups, samples and positions.

    Args:
        levels: the rows of the RLadder from the bottom up, such as `rtagger_textures()`, for frames (4, *D).
        data_shape: \*D, of one image or frame, one to three dimensions.
        classes: C; None: it does not classify. The last row is then `Dense(C + 1)`.
        recompute: whether the backward pass computes the activations of each iteration anew, so that training needs the
            memory of one iteration, and a third more time.
        options: groups and iterations, 3 each, which every call may have otherwise; and others of `fastladder.nn.Tag`
            with its defaults: likelihood, noise, initial_mean, initial_variance, delta, legacy_variance, pre_sigmoid
            and validate. Batch normalisation has running statistics for each of so many iterations, or frames; later
            ones share those of the last.

    Raises:
        ValueError, TypeError: an argument is out of range; the message names it.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        data_shape: int | Sequence[int],
        *,
        classes: int | None = None,
        recompute: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[TagOptions],
    ) -> None:
        super().__init__()
        data_shape = check_shape("data_shape", data_shape)
        if classes is not None:
            classes = check_size("classes", classes)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        options = {**DEFAULTS, **options}
        steps = check_size("iterations", options["iterations"])
        mapping = RLadderMapping(levels, data_shape, classes, steps=steps, **factory)
        check_flag("recompute", recompute)
        self.classes, self.recompute = classes, recompute
        self.tag = Tag(mapping, data_shape, **options, **factory)

    def reset_parameters(self) -> None:
        """Draws all weights anew; all other parameters get their initial values."""
        self.tag.reset_parameters()

    def forward(
        self,
        target: Tensor,
        *,
        corrupt: bool | None = None,
        noisy: Tensor | None = None,
        mask: Tensor | None = None,
        groups: int | None = None,
        iterations: int | None = None,
        state: RTaggerState | None = None,
        generator: torch.Generator | None = None,
    ) -> RTaggerOutput:
        """Groups images, and classifies them.

        Args:
            target: x, (N, *D).
            corrupt, noisy, mask, groups, iterations, generator: as for `fastladder.nn.Tag.forward`.
            state: that an earlier call returned, to go on from; it has mask and groups. Missing: the first iteration.

        Returns:
            `RTaggerOutput`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype, device or value; the message names it.
        """
        iterations = self.tag.iterations if iterations is None else check_size("iterations", iterations)
        state = self._first_state(target, noisy, mask, groups, state, generator)
        noisy = self.tag.corrupted(target, corrupt, generator) if noisy is None else noisy
        return self._iterate([(noisy, target)] * iterations, state)

    def forward_sequence(
        self,
        frames: Tensor,
        *,
        corrupt: bool | None = None,
        mask: Tensor | None = None,
        groups: int | None = None,
        state: RTaggerState | None = None,
        generator: torch.Generator | None = None,
    ) -> RTaggerOutput:
        """Groups the frames of sequences: from each, what is seen in the next, and where.

        Args:
            frames: (N, T, *D).
            corrupt: whether the network gets corrupted frames; None: in training only. The targets are not corrupted.
            mask, groups, generator: as for `fastladder.nn.Tag.forward`.
            state: that an earlier call returned, to go on with its sequence.

        Returns:
            `RTaggerOutput`: at t mean and mask are those of frame t + 1. Costs are (T - 1, N): none follows the last.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype, device or value; the message names it.
        """
        self._check_frames(frames)
        state = self._first_state(frames[:, 0], None, mask, groups, state, generator)
        noisy = self.tag.corrupted(frames, corrupt, generator)
        return self._iterate(zip_longest(noisy.unbind(1), frames.unbind(1)[1:]), state)

    @torch.no_grad()
    def generate(
        self,
        frames: Tensor,
        steps: int,
        *,
        mask: Tensor | None = None,
        groups: int | None = None,
        generator: torch.Generator | None = None,
    ) -> GeneratedFrames:
        """Goes on with sequences by itself, without gradients: every frame that it predicts is its next input.

        Args:
            frames: (N, T, *D), with which each sequence begins.
            steps: how many frames follow.
            mask, groups, generator: as for `fastladder.nn.Tag.forward`.

        Returns:
            `GeneratedFrames`. A frame is the expectation under the mixture, of binary data the likelier value.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype, device or value; the message names it.
        """
        steps = check_size("steps", steps)
        state = self.forward_sequence(frames, corrupt=False, mask=mask, groups=groups, generator=generator).state
        generated, groupings = [], []
        for remaining in reversed(range(steps)):
            mean, mask, _ = state.grouping
            generated.append(self.tag.likelihood.likeliest((mask * mean).sum(1)))
            groupings.append((mean, mask))
            if remaining:
                state = self._iterate([(generated[-1], None)], state).state
        means, masks = (torch.stack(each, 1) for each in zip(*groupings, strict=True))
        return GeneratedFrames(torch.stack(generated, 1), means, masks)

    def _iterate(self, frames: Iterable[tuple[Tensor, Tensor | None]], state: RTaggerState) -> RTaggerOutput:
        """One iteration for each pair of what the network gets and its target, if it has one."""
        means, masks, costs, log_probabilities = [], [], [], []
        for noisy, target in frames:
            if self.recompute and torch.is_grad_enabled():
                step = checkpoint(self._step, noisy, target, state, use_reentrant=False, context_fn=both_contexts)
            else:
                step = self._step(noisy, target, state)
            cost, of_classes, state = step
            means.append(state.grouping.mean)
            masks.append(state.grouping.mask)
            if target is not None:
                costs.append(cost)
            if of_classes is not None:
                log_probabilities.append(of_classes)
        of_all = torch.stack(costs) if costs else cost.new_empty(0, len(cost))
        return RTaggerOutput(tuple(means), tuple(masks), of_all, tuple(log_probabilities), state)

    def _step(
        self, noisy: Tensor, target: Tensor | None, state: RTaggerState
    ) -> tuple[Tensor, Tensor | None, RTaggerState]:
        """One iteration: its cost (N,), the log probabilities of the classes (N, C) if there are any, and the state."""
        z, mask_logits, logits, ladder = self.tag.propose(noisy, state.grouping, state.ladder, state.step)
        cost, grouping = self.tag.explain(noisy if target is None else target, z, mask_logits)
        of_classes = None if logits is None else combine_groups(logits, grouping.mask.shape[1])
        return cost, of_classes, RTaggerState(grouping, ladder, state.step + 1)

    def _first_state(
        self,
        target: Tensor,
        noisy: Tensor | None,
        mask: Tensor | None,
        groups: int | None,
        state: RTaggerState | None,
        generator: torch.Generator | None,
    ) -> RTaggerState:
        """The state before the first iteration, all arguments checked."""
        if state is not None:
            if mask is not None:
                raise ValueError("mask: got a tensor and a state, needs one of them: a state has its mask")
            mask = check_state(state).grouping.mask
        groups = self.tag.number_of_groups(groups, mask)
        self.tag.check(target, noisy, mask, groups)
        return RTaggerState(self.tag.begin(target, groups, mask, generator), None, 0) if state is None else state

    def _check_frames(self, frames: Any) -> None:
        if not isinstance(frames, Tensor):
            raise TypeError(f"frames: got {type(frames).__name__}, needs a tensor")
        if frames.shape[2:] != self.tag.data_shape or frames.dim() < 2 or frames.shape[1] == 0:
            needed = ", ".join(map(str, self.tag.data_shape))
            raise ValueError(f"frames: got shape {tuple(frames.shape)}, needs (N, T, {needed}) with T above 0")
        if self.tag.validate and reads_values(frames):
            self.tag.likelihood.check("frames", frames)


def both_contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of the pass that is made first, and of the one that recomputes it."""
    return nullcontext(), recomputing()


def check_state(state: Any) -> RTaggerState:
    """Checks that a state is one."""
    if not isinstance(state, RTaggerState):
        raise TypeError(f"state: got {type(state).__name__}, needs the state of an earlier output")
    return state
