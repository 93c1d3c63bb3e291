"""The gates of an LSTM over one to three normalised projections, and a dense LSTM over a whole sequence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastladder.reference.normalization import preactivation
from fastladder.tensors import compute_dtype_of


def lstm_gates(
    projections: Tensor | Sequence[Tensor],
    cell: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "none",
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    r"""One LSTM step after its projections p_j, (N, 4C, *S) each: hidden h' and cell c', (N, C, *S) each.

    .. math::
        a = \sum_j \mathrm{gain}_j \, \mathrm{norm}(p_j) + \mathrm{bias}, \qquad (i, f, g, o) = a \\
        c' = \sigma(f) \, c + \sigma(i) \tanh(g), \qquad h' = \sigma(o) \tanh(c')

    The gates are those of Long Short-Term Memory (Hochreiter and Schmidhuber, 1997) with the forget gate of Gers et al.
    (2000), without peepholes, in the order of `torch.nn.LSTM`. That their projections are normalised is from Recurrent
    Ladder Networks (Premont-Schwarz et al., 2017, appendix A.4), which gives no equation: by layer in the RLadder, by
    batch in the RTagger.
    """
    if isinstance(projections, Tensor):
        projections = [projections]
    a = preactivation([compute_dtype_of(p) for p in projections], gain, bias, norm, eps)
    i, f, g, o = a.chunk(4, dim=1)
    new_cell = f.sigmoid() * compute_dtype_of(cell) + i.sigmoid() * g.tanh()
    hidden = o.sigmoid() * new_cell.tanh()
    return hidden.to(projections[0].dtype), new_cell.to(cell.dtype)


def lstm_sequence(
    projections: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "none",
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""All steps of a dense LSTM: outputs (T, N, C), and the last hidden h_T and cell c_T, (N, C) each.

    .. math::
        h_t, c_t = \mathrm{lstm\_gates}([p_t, W h_{t-1}], c_{t-1})

    for projections p_t of the input, (T, N, 4C), the weight W, (4C, C), of the hidden state, and the gain, (2, 4C), of
    both projections. A sample's state stays as it is after its length, one of (N,), and its outputs are zero there.
    """
    outputs = [projections[:0, :, : hidden.shape[1]]]
    hidden, cell = hidden.clone(), cell.clone()
    lengths = None if lengths is None else torch.as_tensor(lengths, device=projections.device)[:, None]
    for step, projection in enumerate(projections):
        if lengths is not None:
            projection = torch.where(step < lengths, projection, 0)  # no gradient comes through what is not finite
        both = [projection, hidden @ weight.t()]
        output, new_cell = lstm_gates(both, cell, gain=gain, bias=bias, norm=norm, eps=eps)
        if lengths is None:
            hidden, cell = output, new_cell
        else:
            hidden, cell = torch.where(step < lengths, output, hidden), torch.where(step < lengths, new_cell, cell)
            output = torch.where(step < lengths, output, 0)
        outputs.append(output[None])
    return torch.cat(outputs), hidden, cell
