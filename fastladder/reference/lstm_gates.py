"""The gates of an LSTM over one to three normalised projections."""

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
