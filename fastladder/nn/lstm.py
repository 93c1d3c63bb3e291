"""A dense LSTM over sequences, with projections that may be normalised."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from fastladder import ops
from fastladder.nn.checks import check_features, check_state
from fastladder.nn.lstm_cell import LSTMCell, State
from fastladder.nn.packing import Unpacking
from fastladder.nn.preactivation import Preactivation
from fastladder.nn.recurrent_layers import RecurrentLayers, run_steps
from fastladder.nn.untouched import is_untouched
from fastladder.nn.zero import zero_state


class LSTM(RecurrentLayers):
    r"""A stack of LSTM layers over a sequence, like `torch.nn.LSTM`, whose projections may be normalised.

    Each layer has the parameters of an :class:`LSTMCell` and computes what that computes at every time step, but in one
    operator for the whole sequence, :func:`fastladder.ops.lstm_sequence`. A cell that has been wrapped, hooked,
    sharded, compiled or replaced is called at every time step instead, and so is one that normalises by the statistics
    of each step's batch. The names of the cells are the endings of `torch.nn.LSTM`'s parameters: l0, l0_reverse, l1.

    With norm "none" it takes the state_dict of a `torch.nn.LSTM` and then computes the same; bias_ih and bias_hh are
    added up. Weights are drawn as `torch.nn.LSTM` draws them, uniformly within 1 / sqrt(hidden_size); biases begin at
    0, and those of forget gates at `forget_bias`.

    Args:
        input_size: features of the input.
        hidden_size: features of hidden and cell.
        num_layers: the number of layers.
        bias: whether there are biases.
        batch_first: whether input and output are (N, T, C) rather than (T, N, C).
        dropout: the probability with which outputs are dropped between layers.
        bidirectional: whether there is a second direction, from the last time step to the first.
        norm: "none", "layer" (per sample over all gates) or "batch" (per feature over the batch).
        forget_bias: the initial bias of the forget gates.
        hidden_gain: with a norm, the initial gain of the hidden states' projections.
        steps: with norm "batch", the number of time steps with running statistics of their own.

    Shape:
        input (T, N, input_size), state (num_layers * directions, N, hidden_size), output (T, N, directions *
        hidden_size); without a batch, none of them has N.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        norm: str = "none",
        forget_bias: float = 1.0,
        hidden_gain: float = 1.0,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dims=0,
        )
        options: dict[str, Any] = dict(
            bias=bias,
            norm=norm,
            forget_bias=forget_bias,
            hidden_gain=hidden_gain,
            steps=steps,
            device=device,
            dtype=dtype,
        )
        self.norm = norm
        self.add_cells(lambda layer, input_size: LSTMCell(input_size, hidden_size, **options))
        self.register_load_state_dict_pre_hook(_rename_torch_weights)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters of all cells anew."""
        super().reset_parameters()
        bound = self.hidden_size**-0.5
        for cell in self.children():
            if isinstance(projection := getattr(cell, "input_projection", None), nn.Linear):
                nn.init.uniform_(projection.weight, -bound, bound)

    def forward(
        self, input: Tensor | PackedSequence, state: State | None = None, lengths: Any = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Runs over sequences, of one length or of several; see `RecurrentLayers.forward`.

        An input (T, input_size) is one sample without a batch, with a state (num_layers * directions, hidden_size).
        """
        if not isinstance(input, Tensor) or input.dim() != 2:
            return super().forward(input, state, lengths)
        if lengths is not None:
            raise ValueError("lengths: got a value, needs None with an input that has no batch")
        batch_dim = 0 if self.batch_first else 1
        state = check_state(state)
        if state is not None:
            state = (state[0].unsqueeze(-2), state[1].unsqueeze(-2))
        output, (hidden, cell) = super().forward(input.unsqueeze(batch_dim), state)
        assert isinstance(output, Tensor)
        return output.squeeze(batch_dim), (hidden.squeeze(1), cell.squeeze(1))

    def run_cell(
        self, cell: Any, data: Tensor, batch_sizes: list[int], state: State | None, *, reverse: bool
    ) -> tuple[Tensor, State]:
        if runs_at_once(cell):
            return run_sequence(cell, data, batch_sizes, state, reverse=reverse)
        return run_steps(cell, data, batch_sizes, state, reverse=reverse)


def runs_at_once(cell: Any) -> bool:
    """Whether one operator can stand for the calls of a cell at all time steps.

    It cannot where the cell, or a part of it, is not as `LSTM` made it, or does more in a call than return numbers.
    """
    if [type(module) for module in cell.modules()] != [LSTMCell, nn.Linear, nn.Linear, Preactivation]:
        return False
    preactivation = cell.preactivation
    if preactivation.norm == "batch" and (preactivation.training or preactivation.steps > 1):
        return False
    if cell.hidden_projection.bias is not None:
        return False
    return all(is_untouched(module, type(module)) for module in cell.modules())


def run_sequence(
    cell: LSTMCell, data: Tensor, batch_sizes: list[int], state: State | None, *, reverse: bool
) -> tuple[Tensor, State]:
    """Runs a cell over all time steps in one operator; see `RecurrentLayers.run_cell` for arguments and results."""
    check_features("input", data, cell.input_size, 0, cell.input_projection)
    steps, project = Unpacking(batch_sizes, data.device, reverse=reverse), cell.input_projection
    # Without padding it is the input that is reversed, which is smaller than its projections.
    projections = project(steps.unpack(data)) if steps.lengths is None else steps.unpack(project(data))
    if state is None:
        hidden = projections.new_zeros(batch_sizes[0], cell.hidden_size)
        state = hidden, zero_state(projections[0], cell.hidden_size)
    hidden, old_cell = state
    check_features("state[0]", hidden, cell.hidden_size, 0, cell.hidden_projection)
    check_features("state[1]", old_cell, cell.hidden_size, 0)

    weight: Any = cell.hidden_projection.weight

    def sequence(**options: Any) -> tuple[Tensor, Tensor, Tensor]:
        return ops.lstm_sequence(projections, hidden, old_cell, weight, lengths=steps.lengths, **options)

    outputs, *final = cell.preactivation([projections, projections], sequence)
    return steps.pack(outputs), (final[0], final[1])


def _rename_torch_weights(module: LSTM, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Gives the weights in a state_dict of `torch.nn.LSTM` the names that they have in `LSTM`."""
    found = [key for key in state_dict if key.startswith((f"{prefix}weight_", f"{prefix}bias_"))]
    if found and module.norm != "none":
        raise ValueError(
            f"state_dict: got {found[0]} of a torch.nn.LSTM, which has no norm, "
            f"needs that of an LSTM with norm {module.norm!r}"
        )
    for name in [key.rpartition("_ih_")[2] for key in found if key.startswith(f"{prefix}weight_ih_")]:
        for kind, target in (("weight_ih", "input_projection"), ("weight_hh", "hidden_projection")):
            if f"{prefix}{kind}_{name}" in state_dict:
                state_dict[f"{prefix}{name}.{target}.weight"] = state_dict.pop(f"{prefix}{kind}_{name}")
        biases = [state_dict.pop(key) for kind in ("ih", "hh") if (key := f"{prefix}bias_{kind}_{name}") in state_dict]
        if biases:
            state_dict[f"{prefix}{name}.preactivation.bias"] = sum(biases)
