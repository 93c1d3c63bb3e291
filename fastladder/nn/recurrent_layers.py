"""Layers and directions of recurrent cells over sequences."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from fastladder.nn.checks import check_probability, check_size, check_state
from fastladder.nn.lstm_cell import GatedCell, State
from fastladder.nn.packing import Packing, check_lengths
from fastladder.nn.reset import reset_children
from fastladder.ops.checks import check_flag


class RecurrentLayers(nn.Module):
    """The base of `ConvLSTM` and `LSTM`, which are called like `torch.nn.LSTM`.

    A subclass makes the cells and says how one of them runs over a sequence. The names of the cells are the endings of
    `torch.nn.LSTM`'s parameters: l0, l0_reverse, l1.

    Args:
        input_size: channels of the input.
        hidden_size: channels of hidden and cell.
        num_layers: the number of layers.
        batch_first: whether input and output are (N, T, C, *S) rather than (T, N, C, *S).
        dropout: the probability with which outputs are dropped between layers.
        bidirectional: whether there is a second direction, from the last time step to the first.
        dims: the number of spatial dimensions.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        dims: int,
    ) -> None:
        super().__init__()
        input_size, hidden_size = check_size("input_size", input_size), check_size("hidden_size", hidden_size)
        num_layers = check_size("num_layers", num_layers)
        check_flag("batch_first", batch_first)
        check_flag("bidirectional", bidirectional)
        check_probability("dropout", dropout)
        self.input_size, self.hidden_size, self.num_layers, self.dims = input_size, hidden_size, num_layers, dims
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.directions = ("", "_reverse") if bidirectional else ("",)

    def add_cells(self, make_cell: Callable[[int, int], GatedCell]) -> None:
        """Makes the cells of all layers and directions.

        Args:
            make_cell: is called with the number of the layer and the channels of its input.
        """
        for layer in range(self.num_layers):
            input_size = self.input_size if layer == 0 else len(self.directions) * self.hidden_size
            for direction in self.directions:
                self.add_module(f"l{layer}{direction}", make_cell(layer, input_size))

    def run_cell(
        self, cell: Any, data: Tensor, batch_sizes: list[int], state: State | None, *, reverse: bool
    ) -> tuple[Tensor, State]:
        """Runs one direction of one layer over a packed sequence.

        The state of a sample that has ended, or in reverse has not begun, stays as it is.

        Args:
            cell: the cell, or what a user has put in its place.
            data: (sum of batch_sizes, C, *S), the samples of one time step after those of another.
            batch_sizes: of the time steps; they never grow, as the samples that end first come last.
            state: initial hidden and cell, each (N, hidden_size, *S'); missing means zero.
            reverse: whether to run from the last time step to the first.

        Returns:
            The output, in the order of `data`, and the final state of every sample.
        """
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draws the parameters of all cells anew."""
        reset_children(self)

    def forward(
        self, input: Tensor | PackedSequence, state: State | None = None, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Runs over sequences, of one length or of several.

        The final state of a sample is that of its own last step, where its backward direction begins. Beyond that step
        its output is zero.

        Args:
            input: (T, N, input_size, *S), or (N, T, input_size, *S) if `batch_first`, or a `PackedSequence`.
            state: initial hidden and cell, each (num_layers * directions, N, hidden_size, *S'), where S' is S divided
                by the stride; missing means zero.
            lengths: (N,), the length of each sample, from 1 to T, in any order; missing means T for all.

        Returns:
            the output of the last layer, (T, N, directions * hidden_size, *S'), batch first or packed where the input
            is, and the final hidden and cell, each (num_layers * directions, N, hidden_size, *S').

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: got a value, needs None since a PackedSequence has its own")
            return self._run_packed(input, check_state(state))
        if not isinstance(input, Tensor):
            raise TypeError(f"input: got {type(input).__name__}, needs a tensor or a PackedSequence")
        if input.dim() != self.dims + 3 or input.shape[2] != self.input_size or input.shape[self.batch_first] == 0:
            order = "N, T" if self.batch_first else "T, N"
            spatial = f" and {self.dims} spatial sizes" if self.dims else ""
            raise ValueError(
                f"input: got shape {tuple(input.shape)}, needs ({order}, {self.input_size}{self._s}) with T above 0"
                f"{spatial}"
            )
        if self.batch_first:
            input = input.transpose(0, 1)
        state = check_state(state)
        duration, batch = input.shape[:2]
        self._check_state(state, batch)
        if lengths is None or batch == 0:
            output, state = self._run(input.flatten(0, 1), [batch] * duration, state)
            output = output.unflatten(0, (duration, batch))
        else:
            output, state = self._run_lengths(input, check_lengths(lengths, batch, duration), state)
        return output.transpose(0, 1) if self.batch_first else output, state

    def _run_lengths(self, input: Tensor, lengths: list[int], state: State | None) -> tuple[Tensor, State]:
        """Runs over input (T, N, C, *S)."""
        packing = Packing(lengths, input.shape[0], input.device)
        state = None if state is None else packing.sort(state)
        output, state = self._run(packing.pack(input), packing.batch_sizes, state)
        return packing.pad(output), packing.unsort(state)

    def _run_packed(self, packed: PackedSequence, state: State | None) -> tuple[PackedSequence, State]:
        """Runs over a packed sequence, whose samples are sorted by length."""
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        self._check_state(state, int(batch_sizes[0]))
        if state is not None and sorted_indices is not None:
            state = (state[0][:, sorted_indices], state[1][:, sorted_indices])
        output, (hidden, cell) = self._run(data, batch_sizes.tolist(), state)
        if unsorted_indices is not None:
            hidden, cell = hidden[:, unsorted_indices], cell[:, unsorted_indices]
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), (hidden, cell)

    def _run(self, data: Tensor, batch_sizes: list[int], state: State | None) -> tuple[Tensor, State]:
        """Runs all layers over data (sum of batch sizes, C, *S), the samples of one time step after another."""
        finals: list[State] = []
        for layer in range(self.num_layers):
            if layer > 0:
                data = functional.dropout(data, self.dropout, self.training)
            outputs = []
            for direction in self.directions:
                initial = None if state is None else (state[0][len(finals)], state[1][len(finals)])
                cell = getattr(self, f"l{layer}{direction}")
                output, final = self.run_cell(cell, data, batch_sizes, initial, reverse=direction == "_reverse")
                outputs.append(output)
                finals.append(final)
            data = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        return data, (torch.stack([hidden for hidden, _ in finals]), torch.stack([cell for _, cell in finals]))

    def _check_state(self, state: State | None, batch: int) -> None:
        needed = (self.num_layers * len(self.directions), batch, self.hidden_size)
        for index, tensor in enumerate(state or ()):
            if tensor.dim() != 3 + self.dims or tensor.shape[:3] != needed:
                raise ValueError(
                    f"state[{index}]: got shape {tuple(tensor.shape)}, needs ({', '.join(map(str, needed))}{self._s})"
                )

    @property
    def _s(self) -> str:
        """How messages write the spatial sizes at the end of a shape."""
        return ", *S" if self.dims else ""

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, batch_first={self.batch_first}"


def run_steps(
    cell: Any,
    data: Tensor,
    batch_sizes: list[int],
    state: State | None,
    *,
    reverse: bool,
    **options: Any,
) -> tuple[Tensor, State]:
    """Calls a cell at every time step; see `RecurrentLayers.run_cell` for arguments and results.

    Args:
        options: for every call of the cell.
    """
    inputs = data.split(batch_sizes)
    outputs = []
    for step, input in enumerate(reversed(inputs) if reverse else inputs):
        running, waiting = _divide(state, input.shape[0])
        after: State = cell(input, running, step=step, **options)
        outputs.append(after[0])
        state = after if input.shape[0] == batch_sizes[0] else _join(after, waiting, batch_sizes[0])
    assert state is not None
    return torch.cat(outputs[::-1] if reverse else outputs), state


def _divide(state: State | None, batch: int) -> tuple[State | None, State | None]:
    """The states of the first samples, which a time step has, and of those that have ended or not begun."""
    if state is None or batch == state[0].shape[0]:
        return state, None
    return (state[0][:batch], state[1][:batch]), (state[0][batch:], state[1][batch:])


def _join(state: State, waiting: State | None, batch: int) -> State:
    """The state of all samples, of which the waiting ones may not have begun."""
    hidden, cell = state
    if waiting is None:
        zeros = hidden.new_zeros(batch - hidden.shape[0], *hidden.shape[1:])
        waiting = (zeros, zeros)
    return torch.cat([hidden, waiting[0]]), torch.cat([cell, waiting[1]])
