"""The weights of an LSTM cell that projects input and hidden state together, as many people write it."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder.nn.convolution import CONVOLUTIONS

GATES = "ifgo"  # in the order of the cells of fastladder


def separate_weights(cell: Any, weight: Tensor, bias: Tensor | None, gates: str) -> dict[str, Tensor]:
    """The state_dict with which a cell computes what the joined weight does; see `GatedCell.load_joined_weights`."""
    if not isinstance(gates, str) or sorted(gates) != sorted(GATES):
        raise ValueError(f"gates: got {gates!r}, needs the letters i, f, g and o in the order of the weight, as 'ifog'")
    kernel_size = _check_cell(cell)
    input_size, channels = cell.input_size, 4 * cell.hidden_size
    _check_tensor("weight", weight, (channels, input_size + cell.hidden_size, *kernel_size))
    weight = _in_our_order(weight, gates)
    state_dict = {
        "input_projection.weight": weight[:, :input_size],
        "hidden_projection.weight": weight[:, input_size:],
    }
    if bias is not None:
        if cell.preactivation.bias is None:
            raise ValueError("bias: got a tensor, needs None since the cell has no bias")
        _check_tensor("bias", bias, (channels,))
        state_dict["preactivation.bias"] = _in_our_order(bias, gates)
    elif cell.preactivation.bias is not None:
        state_dict["preactivation.bias"] = torch.zeros(channels)
    return state_dict


def _in_our_order(parameter: Tensor, gates: str) -> Tensor:
    """A weight or bias (4 hidden_size, *), whose quarters belong to `gates`, with its quarters in the order `GATES`."""
    quarters = dict(zip(gates, parameter.detach().chunk(4), strict=True))
    return torch.cat([quarters[gate] for gate in GATES])


def _check_cell(cell: Any) -> tuple[int, ...]:
    """Checks that a cell can compute what one projection of both does, and returns the kernel size it needs."""
    norm, feedback_size = cell.preactivation.norm, cell.feedback_size
    if norm != "none":
        raise ValueError(f"norm: got a cell with {norm!r}, which joined weights do not have, needs one with 'none'")
    if feedback_size:
        raise ValueError(f"feedback_size: got a cell with {feedback_size}, needs one with 0 for joined weights")
    kind = CONVOLUTIONS[cell.dims] if cell.dims else nn.Linear
    for name in ("input_projection", "hidden_projection"):
        if not isinstance(projection := getattr(cell, name), kind):
            raise TypeError(f"{name}: got {type(projection).__name__}, needs the {kind.__name__} of a new cell")
    stride = getattr(cell.input_projection, "stride", ())
    if set(stride) - {1}:
        raise ValueError(f"stride: got a cell with {stride}, needs one with 1 for joined weights")
    of_input, of_hidden = (tuple(p.weight.shape[2:]) for p in (cell.input_projection, cell.hidden_projection))
    if of_input != of_hidden:
        raise ValueError(
            f"kernel_size: got a cell with {of_input} for the input and {of_hidden} for the hidden state, "
            "needs an odd one, which is that of both, for joined weights"
        )
    return of_input


def _check_tensor(name: str, tensor: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
    if tensor.shape != shape:
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs {shape} for this cell")
