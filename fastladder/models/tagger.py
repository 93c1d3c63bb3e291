"""Tagger: iterative amortized grouping with a Ladder network as its mapping."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from fastladder.models.ladder.layer import LadderLayer
from fastladder.models.ladder.network import LadderNetwork
from fastladder.models.ladder.rows import Dense
from fastladder.nn.checks import check_shape, check_size
from fastladder.nn.reset import reset_children
from fastladder.nn.tag import LIKELIHOOD, Tag, TagOptions


class TaggerOutput(NamedTuple):
    """What a `Tagger` returns after T iterations over N samples with K groups."""

    means: tuple[Tensor, ...]  # T times (N, K, *D): the reconstruction of the input by each group
    masks: tuple[Tensor, ...]  # T times (N, K, *D): the probability that an element belongs to a group
    costs: Tensor  # (T, N): the negative log likelihood of the target, in nats per element
    log_probabilities: tuple[Tensor, ...]  # T times (N, classes); empty where the network does not classify

    @property
    def cost(self) -> Tensor:
        """(), the mean over iterations and samples, which unsupervised training minimises."""
        return self.costs.mean()


class TaggerMapping(nn.Module):
    r"""The parametric mapping of Tagger (Greff et al., 2016, section 2.2).

    .. math::
        h = \mathrm{relu}(\mathrm{norm}(W_h [z, m, \delta, L]) + \beta), \qquad
        \hat h = \mathrm{Ladder}(h), \qquad z' = W_z \hat h, \quad l' = W_m \hat h

    Args:
        data_shape: \*D.
        widths: units of h and of every level of the Ladder network above it.
        classes: C; the network then has one more level of C + 1 units, the last of them for "no class". None: it has
            no such level.
        norm, top_activation, squash_gate: as for `fastladder.models.LadderNetwork`.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        widths: Sequence[int],
        classes: int | None,
        *,
        norm: str,
        top_activation: str,
        squash_gate: bool,
        **factory: Any,
    ) -> None:
        super().__init__()
        self.data_shape = tuple(data_shape)
        elements, hidden = prod(data_shape), widths[0]
        levels = [*widths[1:], *([] if classes is None else [classes + 1])]
        self.classifies = classes is not None
        self.input = LadderLayer(
            Dense(hidden), (4 * elements,), activation="relu", norm=norm, eps=1e-10, running=False, **factory
        )
        self.ladder = LadderNetwork(
            hidden,
            levels,
            norm=norm,
            top_activation=top_activation,
            squash_gate=squash_gate,
            track_running_stats=False,
            **factory,
        )
        self.mean = nn.Linear(hidden, elements, bias=False, **factory)
        self.mask = nn.Linear(hidden, elements, bias=False, **factory)
        self.reset_readouts()

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        reset_children(self)
        self.reset_readouts()

    def reset_readouts(self) -> None:
        """Weights N(0, 1 / fan-in)."""
        for readout in (self.mean, self.mask):
            nn.init.normal_(readout.weight, std=readout.in_features**-0.5)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Maps features (M, 4, *D) to z and mask logits, (M, *D) each, and with classes to logits (M, C + 1) too."""
        hidden = self.input(features.flatten(1)).hidden
        output = self.ladder.reconstruct(hidden)
        shape = (features.shape[0], *self.data_shape)
        readouts = (self.mean(output.reconstruction).view(shape), self.mask(output.reconstruction).view(shape))
        return (*readouts, output.logits) if self.classifies else readouts


class Tagger(nn.Module):
    r"""Tagger (Greff et al., 2016): `fastladder.nn.Tag` around a Ladder network, fully connected.

    With likelihood "gaussian" the gates of the Ladder network's combinators pass a sigmoid (appendix A.6).

    It learns without labels to split its input into groups. With `classes` it also classifies: every group has a
    softmax over the classes and "no class", which are summed over the groups and renormalised:

    .. math::
        p(c) = \frac{\sum_k p_k(c)}{\sum_{c'} \sum_k p_k(c')}, \qquad c, c' \text{ without "no class"}

    Args:
        data_shape: \*D, of one sample; an integer for a single dimension.
        widths: units of the projected input and of every level of the Ladder network above it.
        classes: C; None: it does not classify.
        norm: "batch" (by the statistics of the batch also in evaluation, as in the paper) or "layer" (the better of the
            paper's two variants).
        top_activation: of the highest level, "softmax" or "relu".
        options: groups, iterations, likelihood, noise, initial_mean, initial_variance, delta, legacy_variance,
            pre_sigmoid and validate, with the meaning and the defaults that `fastladder.nn.Tag` gives them.

    Raises:
        ValueError, TypeError: an argument is out of range; the message names it.
    """

    def __init__(
        self,
        data_shape: int | Sequence[int],
        widths: Sequence[int] = (2000, 1000, 500),
        *,
        classes: int | None = None,
        norm: str = "layer",
        top_activation: str = "softmax",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[TagOptions],
    ) -> None:
        super().__init__()
        data_shape = check_shape("data_shape", data_shape)
        if len(widths) < 2:
            raise ValueError(f"widths: got {tuple(widths)}, needs two levels at least")
        if classes is not None:
            classes = check_size("classes", classes)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.classes = classes
        mapping = TaggerMapping(
            data_shape,
            widths,
            classes,
            norm=norm,
            top_activation=top_activation,
            squash_gate=options.get("likelihood", LIKELIHOOD) == "gaussian",
            **factory,
        )
        self.tag = Tag(
            mapping,
            data_shape,
            norm=norm,
            **options,
            **factory,
        )

    def reset_parameters(self) -> None:
        """Draws all weights anew; all other parameters get their initial values."""
        self.tag.reset_parameters()

    def forward(self, target: Tensor, **options: Any) -> TaggerOutput:
        """Groups the target (N, *D), and classifies it.

        Args:
            target: x, (N, *D).
            options: as for `fastladder.nn.Tag.forward`.

        Returns:
            `TaggerOutput`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype, device or value; the message names it.
        """
        output = self.tag(target, **options)
        groups = output.masks[0].shape[1]
        log_probabilities = tuple(combine_groups(logits, groups) for others in output.others for logits in others)
        return TaggerOutput(output.means, output.masks, output.costs, log_probabilities)

    def load_pretrained(self, state: dict[str, Tensor]) -> list[str]:
        """Copies the parameters of a Tagger with fewer levels, and leaves the other parameters as they are.

        Args:
            state: the other Tagger's state_dict.

        Returns:
            The names of the parameters that were copied, which are those that both have in the same shape.

        Raises:
            ValueError: both have no parameter in common.
        """
        own = self.state_dict()
        shared = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
        if not shared:
            raise ValueError("state: got nothing that fits this network, needs the state_dict of a Tagger like it")
        self.load_state_dict(shared, strict=False)
        return list(shared)


def combine_groups(logits: Tensor, groups: int) -> Tensor:
    """The log probabilities (N, C) of all groups together.

    Args:
        logits: (N * K, C + 1), of every group, "no class" last.
        groups: K.
    """
    of_groups = logits.unflatten(0, (-1, groups)).log_softmax(2)[:, :, :-1]
    return of_groups.logsumexp(1).log_softmax(1)
