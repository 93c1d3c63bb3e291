"""The decoder cells G1, G2 and G3, and the Ladder network's combinator: a gate mixes the lateral with the top."""

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import empty_like_layout, empty_statistics, in_layout_of, namespace, operator

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
) -> Tensor:
    r"""The decoder cell G1 after its projection (Recurrent Ladder Networks, appendix A.1).

    .. math::
        u = \mathrm{gain} \, \mathrm{norm}(p) + \mathrm{bias}, \qquad s = f(u, \mathrm{gate}) \\
        y = s \, h + (1 - s) \, f(u, \mathrm{content}), \qquad
        f(u, w) = w_0 \sigma(w_1 u + w_2) + w_3 u + w_4

    Args:
        projection: p, (N, C, *S), the projection of what comes from the top.
        lateral: h, (N, C, *S), what comes from the encoder.
        gate: (5, C), the parameters of f that make the gate s.
        content: (5, C), the parameters of f that make the content.
        gain: (C,); missing means 1.
        bias: (C,); missing means 0.
        norm: "batch" (per channel over (N, *S)), "layer" (per sample over (C, *S)) or "none".
        squash_gate: passes s through a sigmoid, which keeps it between 0 and 1 (RTagger).
        eps: added to the variance.

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
    backend = select_backend(FAMILY, projection.device, projection.dtype)
    if backend == "reference":
        return reference.combine_g1(
            projection, lateral, gate, content, gain=gain, bias=bias, norm=norm, squash_gate=squash_gate, eps=eps
        )
    return namespace(backend).combine_g1(projection, lateral, gate, content, gain, bias, norm, squash_gate, eps)[0]


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
) -> Tensor:
    r"""The decoder cell G2 after its projections (Recurrent Ladder Networks, appendix A.2).

    .. math::
        a_q = \mathrm{gain}_{0q} \, \mathrm{norm}(v_q) + \mathrm{gain}_{1q} \, \mathrm{norm}(h_q) + \mathrm{bias}_q \\
        (\mu_1, \mu_2, s)_q = f(a_q, w_q), \qquad y = s \, \mu_1 + (1 - s) \, \mu_2

    with f as in :func:`combine_g1`.

    Args:
        top: v, (N, 3C, *S), three projections of what comes from the top, in the order mu1, mu2, s.
        lateral: h, (N, 3C, *S), three projections of what comes from the encoder, in the same order.
        weights: (3, 5, C), the parameters of f.
        gain: (2, 3C), of top and lateral; missing means 1.
        bias: (3C,); missing means 0.
        norm: "layer": each third per sample over its (C, *S); "batch": per channel over (N, *S); "none".
        eps: added to the variance.

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
    return namespace(backend).combine_g2(top, lateral, weights, gain, bias, norm, eps)[0]


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
) -> Tensor:
    r"""The hidden layer of the decoder cell G3 (Recurrent Ladder Networks, appendix A.3).

    .. math::
        u = \mathrm{relu}(\mathrm{gain}_0 \, \mathrm{norm}(v) + \mathrm{gain}_1 \, \mathrm{norm}(h) + \mathrm{bias})

    Args:
        top: v, (N, C, *S), the projection of what comes from the top.
        lateral: h, (N, C, *S), the projection of what comes from the encoder.
        gain: (2, C), of top and lateral; missing means 1.
        bias: (C,); missing means 0.
        norm: "layer" (per sample over (C, *S)), "batch" (per channel over (N, *S)) or "none".
        eps: added to the variance.

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
    return namespace(backend).combine_g3_hidden(top, lateral, gain, bias, norm, eps)[0]


@operator(outputs=1, activations=2)
def _combine_g3_hidden(
    top: Tensor, lateral: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, ...]:
    return (empty_like_layout(top, top.shape[1]), *empty_statistics(top, 2, norm, norm_groups=1))


def combine_g3(projections: Tensor) -> Tensor:
    r"""The output of the decoder cell G3 (Recurrent Ladder Networks, appendix A.3).

    .. math::
        y = \sigma(s) \, d + (1 - \sigma(s)) \, e

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
    return namespace(backend).combine_g3(projections)


@operator(outputs=1, activations=1)
def _combine_g3(projections: Tensor) -> Tensor:
    return empty_like_layout(projections, projections.shape[1] // 3)


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, *, squash_gate: bool = False) -> Tensor:
    r"""The combinator g of the Ladder network (Rasmus et al., 2015, Eq. 2), with parameters a1 to a10 per channel.

    .. math::
        \mu = a_1 \sigma(a_2 u + a_3) + a_4 u + a_5, \qquad v = a_6 \sigma(a_7 u + a_8) + a_9 u + a_{10} \\
        \hat z = (\tilde z - \mu) \, v + \mu

    It is :func:`combine_g1` without a norm, with v for its gate and :math:`\mu` for its content.

    Args:
        lateral: z~, (N, C, *S), the noisy activation of the encoder.
        top: u, (N, C, *S), the normalised projection of what comes from the top.
        weights: (10, C), a1 to a10.
        squash_gate: passes v through a sigmoid, as Tagger does (Greff et al., 2016, appendix A.6).

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
    return combine_g1(top, lateral, gate, content, norm="none", squash_gate=squash_gate)
