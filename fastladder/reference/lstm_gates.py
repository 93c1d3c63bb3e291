"""The gates of an LSTM over one to three normalised projections (Recurrent Ladder Networks, appendix A.4)."""

from collections.abc import Sequence

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
    """The specification of `fastladder.ops.lstm_gates`."""
    if isinstance(projections, Tensor):
        projections = [projections]
    a = preactivation([compute_dtype_of(p) for p in projections], gain, bias, norm, eps)
    i, f, g, o = a.chunk(4, dim=1)
    new_cell = f.sigmoid() * compute_dtype_of(cell) + i.sigmoid() * g.tanh()
    hidden = o.sigmoid() * new_cell.tanh()
    return hidden.to(projections[0].dtype), new_cell.to(cell.dtype)
