"""A plain recurrent network over units that have a mean and a variance, with fast dropout."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.nn.checks import check_moments, check_size, check_state
from fastladder.nn.fast_dropout_linear import FastDropoutLinear
from fastladder.nn.moments import moments_of
from fastladder.nn.packing import Packing, Unpacking, check_lengths
from fastladder.nn.reset import reset_children
from fastladder.nn.untouched import is_untouched
from fastladder.ops import moments_sequence, relu_moments, sigmoid_moments, tanh_moments
from fastladder.ops.checks import autocast, check_activation, check_flag
from fastladder.tensors import compute_dtype_of

Pair = tuple[Tensor, Tensor]  # mean and variance
FUSED = (tanh_moments, sigmoid_moments, relu_moments)  # that `moments_sequence` has


class FastDropoutRNN(nn.Module):
    r"""A stack of plain recurrent layers with fast dropout, like `torch.nn.RNN` (FD-RNN; Bayer et al., 2013).

    .. math::
        h_t = f(W (d_t \odot x_t) + U (d'_t \odot h_{t-1}) + b)

    where input and hidden units are dropped anew at every time step. Instead of drawing masks each unit carries a mean
    and a variance, those of :class:`FastDropoutLinear` for both products; the two variances add up, as all units
    count as independent (Bayer and Osendorfer, 2014, appendix). Nothing is drawn, so that training and evaluation give
    the same numbers.

    The names of the layers are the endings of `torch.nn.RNN`'s parameters: l0, l0_reverse, l1. Each has an
    `input_projection`, which has the bias, and a `hidden_projection`.

    Args:
        input_size: features of the input.
        hidden_size: features of the hidden state.
        num_layers: the number of layers.
        nonlinearity: f: "none", "tanh", "sigmoid" or "relu".
        bias: whether there are biases.
        batch_first: whether input and output are (N, T, C) rather than (T, N, C).
        bidirectional: whether there is a second direction, from the last time step to the first.
        rate: the probability with which an input or a hidden unit is dropped.
        learned_rate: whether each input and each hidden unit has a rate of its own that is learned, in place of `rate`.
        moments: "erf3", "wang_manning" or "breze"; see :func:`fastladder.nn.moments.moments_of`.

    Shape:
        input (T, N, input_size), state (num_layers * directions, N, hidden_size), output (T, N, directions *
        hidden_size), mean and variance each.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        rate: float = 0.1,
        learned_rate: bool = False,
        moments: str = "erf3",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = check_size("input_size", input_size), check_size("hidden_size", hidden_size)
        self.num_layers = check_size("num_layers", num_layers)
        check_flag("batch_first", batch_first)
        check_flag("bidirectional", bidirectional)
        self.batch_first, self.bidirectional = batch_first, bidirectional
        self.directions = ("", "_reverse") if bidirectional else ("",)
        options: dict[str, Any] = dict(
            nonlinearity=nonlinearity,
            bias=bias,
            rate=rate,
            learned_rate=learned_rate,
            moments=moments,
            device=device,
            dtype=dtype,
        )
        for layer in range(self.num_layers):
            size = self.input_size if layer == 0 else len(self.directions) * self.hidden_size
            for direction in self.directions:
                self.add_module(f"l{layer}{direction}", FastDropoutRecurrence(size, self.hidden_size, **options))

    def reset_parameters(self) -> None:
        """Draws weights and biases as `torch.nn.RNN` does, within 1 / sqrt(hidden_size), and learned rates anew."""
        reset_children(self)

    def forward(
        self,
        mean: Tensor,
        var: Tensor | None = None,
        state: Pair | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Pair, Pair]:
        """Runs over sequences, of one length or of several.

        The final state of a sample is that of its own last step, where its backward direction begins. Beyond that step
        mean and variance of its output are zero.

        Args:
            mean: of the input, (T, N, input_size), or (N, T, input_size) if `batch_first`.
            var: shaped like `mean`, of numbers from 0; missing means 0.
            state: mean and variance of the initial hidden state, each (num_layers * directions, N, hidden_size);
                missing means 0 for both.
            lengths: (N,), the length of each sample, from 1 to T, in any order; missing means T for all.

        Returns:
            mean and variance of the last layer's output, each (T, N, directions * hidden_size), batch first where the
            input is; and those of the final hidden state, shaped like `state`. Under autocast all have its dtype.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        leading = "N, T" if self.batch_first else "T, N"
        mean, var = check_moments(mean, var, leading, self.input_size)
        if mean.dim() != 3 or mean.shape[self.batch_first] == 0:
            raise ValueError(
                f"mean: got shape {tuple(mean.shape)}, needs ({leading}, {self.input_size}) with T above 0"
            )
        if self.batch_first:
            mean, var = mean.transpose(0, 1), var.transpose(0, 1)
        duration, batch = mean.shape[:2]
        state = self._check_state(state, mean)
        if lengths is None or batch == 0:
            output, state = self._run(mean.flatten(0, 1), var.flatten(0, 1), [batch] * duration, state)
            mean, var = (moment.unflatten(0, (duration, batch)) for moment in output)
        else:
            packing = Packing(check_lengths(lengths, batch, duration), duration, mean.device)
            state = None if state is None else packing.sort(state)
            output, state = self._run(packing.pack(mean), packing.pack(var), packing.batch_sizes, state)
            mean, var = (packing.pad(moment) for moment in output)
            state = packing.unsort(state)
        return (mean.transpose(0, 1), var.transpose(0, 1)) if self.batch_first else (mean, var), state

    def _run(self, mean: Tensor, var: Tensor, batch_sizes: list[int], state: Pair | None) -> tuple[Pair, Pair]:
        """Runs all layers over mean and variance of a packed sequence, each (sum of batch_sizes, C)."""
        finals: list[Pair] = []
        for layer in range(self.num_layers):
            outputs: list[Pair] = []
            for direction in self.directions:
                initial = None if state is None else (state[0][len(finals)], state[1][len(finals)])
                recurrence = getattr(self, f"l{layer}{direction}")
                output, final = recurrence(mean, var, batch_sizes, initial, reverse=direction == "_reverse")
                outputs.append(output)
                finals.append(final)
            if len(outputs) == 1:
                mean, var = outputs[0]
            else:
                mean, var = (torch.cat(moments, dim=1) for moments in zip(*outputs, strict=True))
        return (mean, var), (torch.stack([mean for mean, _ in finals]), torch.stack([var for _, var in finals]))

    def _check_state(self, state: Any, mean: Tensor) -> Pair | None:
        """Checks an initial state beside the mean (T, N, C) of the input, and returns it in the dtype of autocast."""
        state = check_state(state, "mean and variance of the hidden state")
        if state is None:
            return None
        state = autocast(*state)
        for index, moment in enumerate(state):
            needed = (self.num_layers * len(self.directions), mean.shape[1], self.hidden_size)
            check_activation(f"state[{index}]", moment, needed, mean, "mean")
        return state[0], state[1]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, batch_first={self.batch_first}"


class FastDropoutRecurrence(nn.Module):
    """One direction of one layer of a :class:`FastDropoutRNN`, which describes the arguments.

    All time steps run in one operator, :func:`fastladder.ops.moments_sequence`, where that has the moments. Others are
    computed step after step, and so is everything where the `hidden_projection` has been wrapped, hooked or replaced,
    as it is called then.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, nonlinearity: str, moments: str, bias: bool, **options: Any
    ) -> None:
        super().__init__()
        moments_of(nonlinearity, moments)
        self.hidden_size, self.nonlinearity, self.moments = hidden_size, nonlinearity, moments
        self.input_projection = FastDropoutLinear(input_size, hidden_size, bias=bias, **options)
        self.hidden_projection = FastDropoutLinear(hidden_size, hidden_size, bias=False, **options)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights and bias within 1 / sqrt(hidden_size), and learned rates anew."""
        reset_children(self)
        bound = self.hidden_size**-0.5
        if isinstance(self.input_projection, FastDropoutLinear):
            nn.init.uniform_(self.input_projection.weight, -bound, bound)
            if self.input_projection.bias is not None:
                nn.init.uniform_(self.input_projection.bias, -bound, bound)

    def forward(
        self, mean: Tensor, var: Tensor, batch_sizes: list[int], state: Pair | None, *, reverse: bool
    ) -> tuple[Pair, Pair]:
        """Runs over a packed sequence, where a sample that has ended, or in reverse has not begun, keeps its state.

        Args:
            mean, var: of the input, (sum of batch_sizes, input_size), the samples of one time step after another's.
            batch_sizes: of the time steps; they never grow, as the samples that end first come last.
            state: mean and variance of the initial hidden state, each (N, hidden_size); missing means 0.
            reverse: whether to run from the last time step to the first.

        Returns:
            mean and variance of the output, in the order of the input, and those of the final hidden state.
        """
        # Both products of all time steps at once.
        input_moments = self.input_projection(mean, var)
        if state is None:
            zeros = [moment.new_zeros(batch_sizes[0], self.hidden_size) for moment in input_moments]
            state = zeros[0], zeros[1]
        untouched = is_untouched(self.hidden_projection, FastDropoutLinear) and self.hidden_projection.bias is None
        if untouched and moments_of(self.nonlinearity, self.moments) in FUSED:
            return self._run_sequence(input_moments, batch_sizes, state, reverse=reverse)
        return self._run_steps(input_moments, batch_sizes, state, reverse=reverse)

    def _run_sequence(
        self, input_moments: Pair, batch_sizes: list[int], state: Pair, *, reverse: bool
    ) -> tuple[Pair, Pair]:
        """Runs in one operator over the moments of the input's projection."""
        steps = Unpacking(batch_sizes, state[0].device, reverse=reverse)
        mean, var = (steps.unpack(moment) for moment in input_moments)
        weight, weight_of_var, rates = self.hidden_projection.kept_weights()
        if not isinstance(rates, Tensor):
            rates = compute_dtype_of(weight).new_full((self.hidden_size,), rates)
        means, variances, *final = moments_sequence(
            mean,
            var,
            *state,
            weight,
            weight_of_var,
            rates,
            nonlinearity=self.nonlinearity,
            lengths=steps.lengths,
        )
        return (steps.pack(means), steps.pack(variances)), (final[0], final[1])

    def _run_steps(
        self, input_moments: Pair, batch_sizes: list[int], state: Pair, *, reverse: bool
    ) -> tuple[Pair, Pair]:
        """Runs step after step over the moments of the input's projection."""
        hidden_mean, hidden_var = state
        untouched = is_untouched(self.hidden_projection, FastDropoutLinear)
        project = self.hidden_projection.projection() if untouched else self.hidden_projection
        moments = moments_of(self.nonlinearity, self.moments)
        steps = list(zip(*(moment.split(batch_sizes) for moment in input_moments), strict=True))
        outputs: list[Pair] = []
        for step_mean, step_var in reversed(steps) if reverse else steps:
            size = step_mean.shape[0]
            projected_mean, projected_var = project(hidden_mean[:size], hidden_var[:size])
            output = moments(step_mean + projected_mean, step_var + projected_var)
            outputs.append(output)
            hidden_mean, hidden_var = (
                new if size == batch_sizes[0] else torch.cat([new, old[size:]])
                for new, old in zip(output, (hidden_mean, hidden_var), strict=True)
            )
        means, variances = zip(*(reversed(outputs) if reverse else outputs), strict=True)
        return (torch.cat(means), torch.cat(variances)), (hidden_mean, hidden_var)

    def extra_repr(self) -> str:
        return f"nonlinearity={self.nonlinearity!r}, moments={self.moments!r}"
