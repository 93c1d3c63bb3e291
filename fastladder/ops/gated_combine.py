"""The decoder cells G1, G2 and G3, and the combinator of the Ladder network, with checks and fused kernels.

Each mixes what comes from the top with the lateral by a gate. The equations are those of `fastladder.reference`.
"""

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.batch_statistics import BatchStatistics
from fastladder.ops.registration import empty_like_layout, empty_statistics, fused, in_layout_of, operator

FAMILY = "gated_combine"


def combine_g1(
    projection: Tensor,
    lateral: Tensor,
    gate: Tensor,
    content: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "batch",
    squash_gate: bool = False,
    eps: float = 1e-5,
    statistics: BatchStatistics | None = None,
) -> Tensor:
    """The decoder cell G1 after its projection (Recurrent Ladder Networks, appendix A.1).

    The equation is that of :func:`fastladder.reference.combine_g1`, with f(u, w) of
    :func:`fastladder.reference.gated_combine.activation`.

    Args:
        projection: p, (N, C, *S), the projection of what comes from the top.
        lateral: h, (N, C, *S), what comes from the encoder.
        gate: (5, C), the parameters w of f(u, w) for the gate s.
        content: (5, C), the parameters w of f(u, w) for the content.
        gain: (C,); missing means 1.
        bias: (C,); missing means 0.
        norm: "batch" (per channel over (N, *S)), "layer" (per sample over (C, *S)) or "none".
        squash_gate: passes s through a sigmoid, which keeps it between 0 and 1 (RTagger).
        eps: added to the variance.
        statistics: is filled in with those of norm "batch", which a fused backend has computed anyway.

    Returns:
        y, (N, C, *S), in the dtype and memory layout of `projection`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    projection, lateral = checks.autocast(projection, lateral)
    channels = checks.check_leader("projection", projection, parts=1)
    checks.check_activation("lateral", lateral, projection.shape, projection, "projection")
    gate = checks.check_parameter("gate", gate, (5, channels), projection, "projection")
    content = checks.check_parameter("content", content, (5, channels), projection, "projection")
    gain = checks.check_optional_parameter("gain", gain, (channels,), projection, "projection")
    bias = checks.check_optional_parameter("bias", bias, (channels,), projection, "projection")
    checks.check_option("norm", norm, checks.NORMS)
    checks.check_flag("squash_gate", squash_gate)
    checks.check_eps(eps)
    return _run_g1(projection, lateral, gate, content, gain, bias, norm, squash_gate, eps, statistics)


def _run_g1(
    projection: Tensor,
    lateral: Tensor,
    gate: Tensor,
    content: Tensor,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    squash_gate: bool,
    eps: float,
    statistics: BatchStatistics | None = None,
) -> Tensor:
    """`combine_g1` of arguments that have been checked."""
    backend = select_backend(FAMILY, projection.device, projection.dtype)
    if backend == "reference":
        return reference.combine_g1(
            projection, lateral, gate, content, gain=gain, bias=bias, norm=norm, squash_gate=squash_gate, eps=eps
        )
    results = fused(backend).combine_g1(projection, lateral, gate, content, gain, bias, norm, squash_gate, eps)
    if statistics is not None:
        statistics.fill(results)
    return results[0]


@operator(outputs=1, activations=2)
def _combine_g1(
    projection: Tensor,
    lateral: Tensor,
    gate: Tensor,
    content: Tensor,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    squash_gate: bool,
    eps: float,
) -> tuple[Tensor, ...]:
    return (empty_like_layout(projection, projection.shape[1]), *empty_statistics(projection, 1, norm, norm_groups=1))


def combine_g2(
    top: Tensor,
    lateral: Tensor,
    weights: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "layer",
    eps: float = 1e-5,
    statistics: BatchStatistics | None = None,
) -> Tensor:
    """The decoder cell G2 after its projections (Recurrent Ladder Networks, appendix A.2).

    The equation is that of :func:`fastladder.reference.combine_g2`, with f(u, w) of
    :func:`fastladder.reference.gated_combine.activation`.

    Args:
        top: v, (N, 3C, *S), three projections of what comes from the top, in the order mu1, mu2, s.
        lateral: h, (N, 3C, *S), three projections of what comes from the encoder, in the same order.
        weights: (3, 5, C), the parameters w of f(u, w) for mu1, mu2 and s.
        gain: (2, 3C), of top and lateral; missing means 1.
        bias: (3C,); missing means 0.
        norm: "layer": each third per sample over its (C, *S); "batch": per channel over (N, *S); "none".
        eps: added to the variance.
        statistics: is filled in with those of norm "batch", which a fused backend has computed anyway.

    Returns:
        y, (N, C, *S), in the dtype and memory layout of `top`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    top, lateral = checks.autocast(top, lateral)
    channels = checks.check_leader("top", top, parts=3)
    checks.check_activation("lateral", lateral, top.shape, top, "top")
    weights = checks.check_parameter("weights", weights, (3, 5, channels), top, "top")
    gain = checks.check_optional_parameter("gain", gain, (2, 3 * channels), top, "top")
    bias = checks.check_optional_parameter("bias", bias, (3 * channels,), top, "top")
    checks.check_option("norm", norm, checks.NORMS)
    checks.check_eps(eps)
    backend = select_backend(FAMILY, top.device, top.dtype)
    if backend == "reference":
        return reference.combine_g2(top, lateral, weights, gain=gain, bias=bias, norm=norm, eps=eps)
    results = fused(backend).combine_g2(top, lateral, weights, gain, bias, norm, eps)
    if statistics is not None:
        statistics.fill(results)
    return results[0]


@operator(outputs=1, activations=2)
def _combine_g2(
    top: Tensor, lateral: Tensor, weights: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, ...]:
    return (empty_like_layout(top, weights.shape[2]), *empty_statistics(top, 2, norm, norm_groups=3))


def combine_g3_hidden(
    top: Tensor,
    lateral: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "layer",
    eps: float = 1e-5,
    statistics: BatchStatistics | None = None,
) -> Tensor:
    """The hidden layer of the decoder cell G3 (Recurrent Ladder Networks, appendix A.3).

    The equation is that of :func:`fastladder.reference.combine_g3_hidden`.

    Args:
        top: v, (N, C, *S), the projection of what comes from the top.
        lateral: h, (N, C, *S), the projection of what comes from the encoder.
        gain: (2, C), of top and lateral; missing means 1.
        bias: (C,); missing means 0.
        norm: "layer" (per sample over (C, *S)), "batch" (per channel over (N, *S)) or "none".
        eps: added to the variance.
        statistics: is filled in with those of norm "batch", which a fused backend has computed anyway.

    Returns:
        u, (N, C, *S), in the dtype and memory layout of `top`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    top, lateral = checks.autocast(top, lateral)
    channels = checks.check_leader("top", top, parts=1)
    checks.check_activation("lateral", lateral, top.shape, top, "top")
    gain = checks.check_optional_parameter("gain", gain, (2, channels), top, "top")
    bias = checks.check_optional_parameter("bias", bias, (channels,), top, "top")
    checks.check_option("norm", norm, checks.NORMS)
    checks.check_eps(eps)
    backend = select_backend(FAMILY, top.device, top.dtype)
    if backend == "reference":
        return reference.combine_g3_hidden(top, lateral, gain=gain, bias=bias, norm=norm, eps=eps)
    results = fused(backend).combine_g3_hidden(top, lateral, gain, bias, norm, eps)
    if statistics is not None:
        statistics.fill(results)
    return results[0]


@operator(outputs=1, activations=2)
def _combine_g3_hidden(
    top: Tensor, lateral: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, ...]:
    return (empty_like_layout(top, top.shape[1]), *empty_statistics(top, 2, norm, norm_groups=1))


def combine_g3(projections: Tensor) -> Tensor:
    """The output of the decoder cell G3 (Recurrent Ladder Networks, appendix A.3).

    The equation is that of :func:`fastladder.reference.combine_g3`.

    Args:
        projections: (N, 3C, *S), three projections of the hidden layer, in the order s, d, e.

    Returns:
        y, (N, C, *S), in the dtype and memory layout of `projections`.

    Raises:
        ValueError, TypeError: `projections` has a wrong shape or dtype.
    """
    (projections,) = checks.autocast(projections)
    checks.check_leader("projections", projections, parts=3)
    backend = select_backend(FAMILY, projections.device, projections.dtype)
    if backend == "reference":
        return reference.combine_g3(projections)
    return fused(backend).combine_g3(projections)


@operator(outputs=1, activations=1)
def _combine_g3(projections: Tensor) -> Tensor:
    return empty_like_layout(projections, projections.shape[1] // 3)


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, *, squash_gate: bool = False) -> Tensor:
    """The combinator g of the Ladder network (Rasmus et al., 2015, Eq. 2), with parameters a1 to a10 per channel.

    The equation is that of :func:`fastladder.reference.ladder_combine`. It is :func:`combine_g1` without a norm: a1 to
    a5 are the parameters of the content, a6 to a10 those of the gate.

    Args:
        lateral: z~, (N, C, *S), the noisy activation of the encoder.
        top: u, (N, C, *S), the normalised projection of what comes from the top.
        weights: (10, C), a1 to a10.
        squash_gate: passes the gate v through a sigmoid, as Tagger does (Greff et al., 2016, appendix A.6).

    Returns:
        z^, (N, C, *S), in the dtype and memory layout of `lateral`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    lateral, top = checks.autocast(lateral, top)
    channels = checks.check_leader("lateral", lateral, parts=1)
    checks.check_activation("top", top, lateral.shape, lateral, "lateral")
    weights = checks.check_parameter("weights", weights, (10, channels), lateral, "lateral")
    checks.check_flag("squash_gate", squash_gate)
    content, gate = weights.split(5)
    (top,) = in_layout_of(lateral, top)
    return _run_g1(top, lateral, gate, content, None, None, "none", squash_gate, 0.0)
