"""The Ladder network."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.models.ladder.layer import LadderLayer, corrupted
from fastladder.models.ladder.rows import LadderRow, declared_rows, level_shapes
from fastladder.nn.checks import check_features
from fastladder.nn.ladder_combinator import LadderCombinator
from fastladder.nn.reset import reset_children
from fastladder.ops.checks import check_eps, check_flag, check_option
from fastladder.tensors import compute_dtype_of

NORMS = ("batch", "layer")
ACTIVATIONS = ("relu", "leaky_relu")
TOP_ACTIVATIONS = ("softmax", "relu")
WINDOW = 10  # batches in the running averages


class LadderOutput(NamedTuple):
    """What `LadderNetwork.reconstruct` returns, for an input without noise."""

    reconstruction: Tensor  # (N, C, *S), the decoder's estimate of the input
    top: Tensor  # (N, C, *S), h_L, the activations of the highest level
    logits: Tensor  # (N, classes), the preactivation of the highest level


class LadderCosts(NamedTuple):
    """The training costs of a `LadderNetwork`, means over the batch."""

    classification: Tensor  # (), the cross entropy of the noisy path, in nats
    denoising: Tensor  # (L + 1,), the weighted cost of each level from the input up

    @property
    def total(self) -> Tensor:
        """(), the sum that training minimises."""
        return self.classification + self.denoising.sum()


class Encoding(NamedTuple):
    """One pass of the encoder."""

    projections: list[Tensor]  # W_l h_(l-1) of the levels 1 to L
    laterals: list[Tensor]  # z of the levels 0 to L
    top: Tensor  # h_L
    logits: Tensor  # the preactivation of h_L


class LadderNetwork(nn.Module):
    r"""A Ladder network (Rasmus et al., 2015, Semi-Supervised Learning with Ladder Networks).

    The encoder goes from the bottom up, the decoder from the top down, with a lateral z at every level l from 0 to L:

    .. math::
        h_0 = z_0 = x, \qquad
        z_l = \mathrm{norm}(W_l h_{l-1}), \qquad h_l = \phi(\gamma_l (z_l + \beta_l)) \\
        u_L = \mathrm{norm}(h_L), \qquad u_l = \mathrm{norm}(V_{l+1} \hat z_{l+1}), \qquad
        \hat z_l = g_l(z_l, u_l)

    with the combinator g of :class:`fastladder.nn.LadderCombinator`. Neither norm has gain or bias; only a softmax
    needs the gain gamma. In the paper the network learns to classify from few labels: in training Gaussian noise is
    added to x and to every z, and the decoder has to find the z of a pass without noise (see `costs`). Tagger uses it
    without noise, as a mapping (see `reconstruct`).

    Args:
        input_shape: the features of an input, or its shape (C, \*S).
        levels: the levels above the input, from the bottom up: rows of `fastladder.models.ladder`, or the units of a
            dense row.
        norm: "batch" or "layer" (per sample over channels and positions).
        activation: of the levels below the top, "relu" or "leaky_relu" (slope 0.1). A pool has none.
        top_activation: "softmax", over channels at a single position, or "relu".
        squash_gate: passes the gates v of the combinators through a sigmoid, as Tagger does.
        track_running_stats: with norm "batch", whether the encoder has running averages to evaluate on. They are those
            of labelled inputs without noise, as `costs` sees them in training: of the first ten batches the plain
            average, then with weight 0.1 for a new batch. Without them, and in the decoder always, evaluation uses the
            statistics of its batch, as Tagger does.
        eps: added to the variance. A larger one than the authors' 1e-10 changes the start of training, where estimates
            are close to 0.

    Raises:
        ValueError, TypeError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        input_shape: int | Sequence[int],
        levels: Sequence[int | LadderRow],
        *,
        norm: str = "batch",
        activation: str = "relu",
        top_activation: str = "softmax",
        squash_gate: bool = False,
        track_running_stats: bool = True,
        eps: float = 1e-10,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_option("norm", norm, NORMS)
        check_option("activation", activation, ACTIVATIONS)
        check_option("top_activation", top_activation, TOP_ACTIVATIONS)
        check_flag("squash_gate", squash_gate)
        check_flag("track_running_stats", track_running_stats)
        check_eps(eps)
        rows = declared_rows(levels)
        self.shapes = level_shapes(input_shape, rows)  # (C, *S) of the levels 0 to L
        if top_activation == "softmax" and set(self.shapes[-1][1:]) - {1}:
            raise ValueError(f"levels: got a top of shape {self.shapes[-1]}, a softmax needs a single position")
        self.norm, self.top_activation = norm, top_activation
        self.track_running_stats = track_running_stats and norm == "batch"

        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        activations = [activation if row.activates else "linear" for row in rows[:-1]] + [top_activation]
        below = list(zip(rows, self.shapes, strict=False))
        self.encoder: Any = nn.ModuleList(
            LadderLayer(row, shape, activation=phi, norm=norm, eps=eps, running=self.track_running_stats, **factory)
            for (row, shape), phi in zip(below, activations, strict=True)
        )
        self.inverses = nn.ModuleList(row.build_inverse(shape, **factory) for row, shape in below)
        self.combinators = nn.ModuleList(
            LadderCombinator(shape[0], norm=norm, squash_gate=squash_gate, eps=eps, **factory) for shape in self.shapes
        )
        batches = torch.zeros((), dtype=torch.long, device=device) if self.track_running_stats else None
        self.register_buffer("num_batches_tracked", batches)

    num_batches_tracked: Tensor | None

    def reset_parameters(self) -> None:
        """Draws the weights anew; all other parameters and the running averages get their initial values."""
        reset_children(self)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def forward(self, input: Tensor) -> Tensor:
        """Classifies, without noise.

        Args:
            input: (N, C, *S).

        Returns:
            The logits (N, classes).

        Raises:
            ValueError, TypeError: `input` has a wrong shape, dtype or device.
        """
        self._check_input("input", input, running=not self.training)
        return self._encode(input, running=not self.training).logits

    def reconstruct(self, input: Tensor) -> LadderOutput:
        """Runs the encoder and the decoder without noise, as Tagger does.

        Args:
            input: (N, C, *S).

        Raises:
            ValueError, TypeError: `input` has a wrong shape, dtype or device.
        """
        self._check_input("input", input)
        encoding = self._encode(input, running=not self.training)
        reconstruction = self._decode(encoding)[0]
        return LadderOutput(reconstruction, encoding.top, encoding.logits)

    def costs(
        self,
        labelled_input: Tensor,
        labels: Tensor,
        unlabelled_input: Tensor,
        denoising_weights: float | Sequence[float],
        noise: float | Sequence[float] = 0.3,
    ) -> LadderCosts:
        r"""What training minimises (Rasmus et al., 2015, Eq. 3 and Algorithm 1).

        .. math::
            C = -\frac{1}{N} \sum_n \log P(\tilde y = t_n \mid x_n) + \sum_l \frac{\lambda_l}{N' m_l} \sum_n
            \left\| z_l - \frac{\hat z_l - \mu_l}{\sqrt{\sigma_l^2 + \epsilon}} \right\|^2

        The first term is the mean over the N labelled inputs, the second over the N' unlabelled ones; m_l is the number
        of elements of z_l. Labelled and unlabelled inputs are normalised separately, each by their own statistics. The
        prediction and the estimates come from a pass with noise, the targets z_l and their statistics mu_l and sigma_l
        from one without noise, through which gradients flow too. At level 0 the target is the input, not normalised.

        In training the running averages move toward the statistics of the labelled inputs without noise.

        Args:
            labelled_input: (N, C, *S).
            labels: (N,) int64, their classes.
            unlabelled_input: (N', C, *S). In the paper the labelled inputs are among them.
            denoising_weights: lambda, for all levels or for each from the input up. A level with weight 0 is left out,
                and so is every computation that only such levels need.
            noise: the standard deviation, for all levels or for each from the input up.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device, or the top is not a softmax; the
                message names it.
        """
        weights = self._per_level("denoising_weights", denoising_weights)
        noise = self._per_level("noise", noise)
        self._check_input("labelled_input", labelled_input)
        self._check_input("unlabelled_input", unlabelled_input)
        if self.top_activation != "softmax":
            raise ValueError(f"top_activation: got {self.top_activation!r}, the costs need 'softmax'")
        if not isinstance(labels, Tensor):
            raise TypeError(f"labels: got {type(labels).__name__}, needs a tensor")
        if labels.dtype != torch.int64 or labels.shape != labelled_input.shape[:1]:
            needed = f"int64 ({len(labelled_input)},), one for each labelled input"
            raise ValueError(f"labels: got {labels.dtype} of shape {tuple(labels.shape)}, needs {needed}")
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            self._track(labelled_input, 1 / self.num_batches_tracked.clamp(max=WINDOW))
        logits = self._encode(labelled_input, noise=noise).logits
        classification = functional.cross_entropy(compute_dtype_of(logits), labels)
        return LadderCosts(classification, self._denoising_costs(unlabelled_input, weights, noise))

    def _denoising_costs(self, input: Tensor, weights: Sequence[float], noise: Sequence[float]) -> Tensor:
        costs = [compute_dtype_of(input.new_zeros(()))] * len(weights)
        levels = [level for level, weight in enumerate(weights) if weight > 0]
        if levels:
            clean = self._encode(input)
            estimates = self._decode(self._encode(input, noise=noise), lowest=levels[0])
        for level in levels:
            estimate, target = estimates[level], clean.laterals[level]
            if level > 0:
                estimate = self.encoder[level - 1].rescale(estimate, clean.projections[level - 1])
            costs[level] = weights[level] * functional.mse_loss(compute_dtype_of(estimate), compute_dtype_of(target))
        return torch.stack(costs)

    def estimate_statistics(self, batches: Iterable[Tensor]) -> None:
        """Sets the running averages to the plain average over batches, which should be the whole training set.

        Args:
            batches: inputs (N, C, *S) of about the same N, without noise.

        Raises:
            ValueError, TypeError: an input has a wrong shape, dtype or device, there are no batches, or the network has
                no running averages.
        """
        if self.num_batches_tracked is None:
            raise ValueError("track_running_stats: got False or norm 'layer', there are no averages to estimate")
        number = 0
        for number, input in enumerate(batches, start=1):
            self._check_input("batches", input)
            self._track(input, 1 / number)
        if number == 0:
            raise ValueError("batches: got none, needs one at least")
        self.num_batches_tracked.fill_(number)

    @torch.no_grad()
    def _track(self, input: Tensor, weight: Tensor | float) -> None:
        for layer, projection in zip(self.encoder, self._encode(input).projections, strict=True):
            layer.track(projection, weight)

    def _encode(self, input: Tensor, *, running: bool = False, noise: Sequence[float] | None = None) -> Encoding:
        noise = [0.0] * len(self.shapes) if noise is None else noise
        hidden = corrupted(input, noise[0])
        projections, laterals, preactivation = [], [hidden], hidden
        for layer, deviation in zip(self.encoder, noise[1:], strict=True):
            projection, lateral, preactivation, hidden = layer(hidden, running=running, noise=deviation)
            projections.append(projection)
            laterals.append(lateral)
        return Encoding(projections, laterals, hidden, preactivation.flatten(1))

    def _decode(self, encoding: Encoding, lowest: int = 0) -> dict[int, Tensor]:
        """The estimates of the laterals, by level, from the top down to the lowest."""
        estimates: dict[int, Tensor] = {}
        vertical = encoding.top
        for level in reversed(range(lowest, len(self.shapes))):
            if level + 1 in estimates:
                vertical = self.inverses[level](estimates[level + 1])
            estimates[level] = self.combinators[level](encoding.laterals[level], vertical)
        return estimates

    def _check_input(self, name: str, input: Any, *, running: bool = False) -> None:
        shape = self.shapes[0]
        if isinstance(input, Tensor) and input.shape[1:] != shape:
            raise ValueError(f"{name}: got shape {tuple(input.shape)}, needs (N, {', '.join(map(str, shape))})")
        check_features(name, input, shape[0], len(shape) - 1, self.combinators[0])
        if self.norm == "batch" and not (running and self.track_running_stats) and input.shape[0] == 1:
            raise ValueError(f"{name}: got 1 sample, needs 2 at least for the statistics of the batch")

    def _per_level(self, name: str, values: Any) -> list[float]:
        """Checks one number for all levels, or one for each, and returns one for each."""
        numbers = list(values) if isinstance(values, Sequence) else [values] * len(self.shapes)
        if len(numbers) != len(self.shapes) or not all(isinstance(v, int | float) and v >= 0 for v in numbers):
            raise ValueError(f"{name}: got {values!r}, needs one number from 0 on, or {len(self.shapes)} of them")
        return numbers

    def extra_repr(self) -> str:
        options = ("norm", "top_activation", "track_running_stats")
        return f"{self.shapes[0]}, " + ", ".join(f"{name}={getattr(self, name)!r}" for name in options)
