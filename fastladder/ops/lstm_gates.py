"""The gates of an LSTM over normalised projections, with checks and fused kernels."""

from collections.abc import Sequence

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import empty_like_layout, empty_statistics, fused, operator


def lstm_gates(
    projections: Tensor | Sequence[Tensor],
    cell: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "none",
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """One LSTM step after its projections, in one pass: normalise, scale, add, and apply the four gates.

    The equation, with its sources, is that of :func:`fastladder.reference.lstm_gates`.

    Args:
        projections: one tensor or a sequence of 1 to 3, each (N, 4C, *S), gates in the order i, f, g, o.
        cell: (N, C, *S), the cell state c, in the dtype of the projections, or in float32 beside bfloat16 or float16:
            over many steps it is a long sum, to which a narrow dtype soon adds nothing more.
        gain: (J, 4C) for J projections; missing means 1.
        bias: (4C,); missing means 0.
        norm: "none"; "layer": each projection is normalised per sample, jointly over (4C, *S); "batch": per channel
            over (N, *S) with the statistics of this batch. The variance is the biased one.
        eps: added to the variance.

    Returns:
        hidden h' and cell c', each (N, C, *S) in the memory layout of the first projection, h' in the dtype of the
        projections and c' in that of `cell`. Under autocast the projections take its dtype, and so does the cell unless
        it is float32, which it stays.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    ps: list[Tensor] = [projections] if isinstance(projections, Tensor) else list(projections)
    if not 1 <= len(ps) <= 3:
        raise ValueError(f"projections: got {len(ps)} tensors, needs 1 to 3")
    ps, cell = checks.autocast(*ps), checks.autocast_state(cell)
    channels = checks.check_leader("projections[0]", ps[0], parts=4)
    batch, _, *spatial = ps[0].shape
    for j, p in enumerate(ps[1:], start=1):
        checks.check_activation(f"projections[{j}]", p, ps[0].shape, ps[0], "projections[0]")
    checks.check_activation("cell", cell, (batch, channels, *spatial), ps[0], "projections[0]", state=True)
    gain = checks.check_optional_parameter("gain", gain, (len(ps), 4 * channels), ps[0], "projections")
    bias = checks.check_optional_parameter("bias", bias, (4 * channels,), ps[0], "projections")
    checks.check_option("norm", norm, checks.NORMS)
    checks.check_eps(eps)
    backend = select_backend("lstm_gates", cell.device, ps[0].dtype)
    if backend == "reference":
        return reference.lstm_gates(ps, cell, gain=gain, bias=bias, norm=norm, eps=eps)
    return fused(backend).lstm_gates(ps, cell, gain, bias, norm, eps)[:2]


@operator(outputs=2, activations=2)
def _lstm_gates(
    projections: list[Tensor], cell: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, ...]:
    leader, channels = projections[0], cell.shape[1]
    outputs = empty_like_layout(leader, channels), empty_like_layout(leader, channels, cell.dtype)
    return (*outputs, *empty_statistics(leader, len(projections), norm, norm_groups=1))
