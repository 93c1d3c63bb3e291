"""The combinator of the Ladder network, which denoises a lateral by what comes from the top."""

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import empty_like_layout, namespace, operator

FAMILY = "ladder_combine"


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, *, squash_gate: bool = False) -> Tensor:
    r"""The combinator g of the Ladder network (Rasmus et al., 2015, Eq. 2), with parameters a1 to a10 per channel.

    .. math::
        \mu = a_1 \sigma(a_2 u + a_3) + a_4 u + a_5, \qquad v = a_6 \sigma(a_7 u + a_8) + a_9 u + a_{10} \\
        \hat z = (\tilde z - \mu) \, v + \mu

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
    backend = select_backend(FAMILY, lateral.device, lateral.dtype)
    if backend == "reference":
        return reference.ladder_combine(lateral, top, weights, squash_gate=squash_gate)
    return namespace(backend).ladder_combine(lateral, top, weights, squash_gate)


@operator(outputs=1, activations=2)
def _ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, squash_gate: bool) -> Tensor:
    return empty_like_layout(lateral, lateral.shape[1])
