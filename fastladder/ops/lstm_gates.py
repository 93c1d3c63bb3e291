"""The gates of an LSTM over normalised projections, and a dense LSTM over sequences, with checks and fused kernels."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.batch_statistics import BatchStatistics
from fastladder.ops.registration import (
    empty_like_layout,
    empty_statistics,
    fused,
    operator,
    statistics_dtype,
)
from fastladder.ops.sequences import check_lengths, needs_backward, run_longest_first

FAMILY = "lstm_gates"


def lstm_gates(
    projections: Tensor | Sequence[Tensor],
    cell: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "none",
    eps: float = 1e-5,
    statistics: BatchStatistics | None = None,
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
        statistics: is filled in with those of norm "batch", which a fused backend has computed anyway.

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
    backend = select_backend(FAMILY, cell.device, ps[0].dtype)
    if backend == "reference":
        return reference.lstm_gates(ps, cell, gain=gain, bias=bias, norm=norm, eps=eps)
    results = fused(backend).lstm_gates(ps, cell, gain, bias, norm, eps)
    if statistics is not None:
        statistics.fill(results)
    return results[:2]


@operator(outputs=2, activations=2)
def _lstm_gates(
    projections: list[Tensor], cell: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, ...]:
    leader, channels = projections[0], cell.shape[1]
    outputs = empty_like_layout(leader, channels), empty_like_layout(leader, channels, cell.dtype)
    return (*outputs, *empty_statistics(leader, len(projections), norm, norm_groups=1))


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
    """A dense LSTM over a whole sequence: every step is :func:`lstm_gates` of the input's and the state's projection.

    The equation is that of :func:`fastladder.reference.lstm_sequence`. The gradient of the weight is one product over
    all steps. Integers from the longest to the shortest make the fastest `lengths`, as samples need not be sorted.

    Args:
        projections: (T, N, 4C), of the input, gates in the order i, f, g, o.
        hidden: (N, C), the hidden state before the first step.
        cell: (N, C), the cell state before the first step, in the dtype of the projections, or in float32 beside
            bfloat16 or float16.
        weight: (4C, C), which projects the hidden state.
        lengths: (N,), how many steps each sample has, from 0 to T; missing means T for all.
        gain: (2, 4C), of the projections of input and hidden state; missing means 1.
        bias: (4C,); missing means 0.
        norm: "none"; "layer": each projection is normalised per sample and step; "batch": per channel over the N
            samples of a step, which all need to be as long.
        eps: added to the variance.

    Returns:
        outputs, (T, N, C), the hidden states after each step, and zero after the length of a sample; and the hidden
        state, in the dtype of the projections, and the cell, in its own, after the last step of each sample, (N, C).
        Under autocast all but a cell of float32 take its dtype.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    projections, hidden, weight = checks.autocast(projections, hidden, weight)
    cell = checks.autocast_state(cell)
    duration, batch, channels = _check_sequence(projections)
    checks.check_activation("hidden", hidden, (batch, channels), projections, "projections")
    checks.check_activation("cell", cell, (batch, channels), projections, "projections", state=True)
    checks.check_activation("weight", weight, (4 * channels, channels), projections, "projections")
    gain = checks.check_optional_parameter("gain", gain, (2, 4 * channels), projections, "projections")
    bias = checks.check_optional_parameter("bias", bias, (4 * channels,), projections, "projections")
    checks.check_option("norm", norm, checks.NORMS)
    checks.check_eps(eps)
    longest_first = check_lengths(lengths, batch, duration)
    if lengths is not None and norm == "batch":
        raise ValueError("lengths: got a value, needs None with norm 'batch', whose statistics are of all samples")
    backend = select_backend(FAMILY, cell.device, projections.dtype)
    if backend == "reference":
        return reference.lstm_sequence(
            projections, hidden, cell, weight, lengths=lengths, gain=gain, bias=bias, norm=norm, eps=eps
        )
    keeps = needs_backward(projections, hidden, cell, weight, gain, bias)

    def run(lengths: Tensor | None, projections: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        arguments = (projections, hidden, cell, weight, lengths, gain, bias, norm, eps, keeps)
        results: tuple[Tensor, ...] = fused(backend).lstm_sequence(*arguments)
        return results[:3]

    outputs, hidden, cell = run_longest_first(run, lengths, longest_first, projections, hidden, cell)
    return outputs, hidden, cell


def _check_sequence(projections: Any) -> tuple[int, int, int]:
    """Checks projections (T, N, 4C), and returns T, N and C."""
    needs = "projections: got shape {}, needs (T, N, 4C)"
    if isinstance(projections, Tensor) and (projections.dim() != 3 or projections.shape[2] % 4 != 0):
        raise ValueError(needs.format(tuple(projections.shape)))
    checks.check_leader("projections", projections, parts=1)
    duration, batch, width = projections.shape
    return duration, batch, width // 4


@operator(outputs=3, activations=4, keeps_layout=False, kept_outputs=1)
def _lstm_sequence(
    projections: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    lengths: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    eps: float,
    keeps: bool,
) -> tuple[Tensor, ...]:
    duration, batch, width = projections.shape
    shape = (duration, batch, width // 4)
    outputs = projections.new_empty(shape), projections.new_empty(shape[1:]), cell.new_empty(shape[1:])
    of_step = {"layer": (2, batch, 1), "batch": (2, width)}
    sizes = (duration, *of_step[norm]) if norm != "none" else (0,)
    mean, rstd = (projections.new_empty(sizes, dtype=statistics_dtype(projections)) for _ in range(2))
    hidden_projections = projections.new_empty((duration if keeps else 0, batch, width))
    return (*outputs, cell.new_empty(shape), hidden_projections, mean, rstd)
