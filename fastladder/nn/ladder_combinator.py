"""The combinator of the Ladder network."""

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.nn.batch_statistics import BatchNormalized
from fastladder.nn.checks import check_size
from fastladder.nn.reset import fill
from fastladder.ops.checks import NORMS, autocast, check_activation, check_eps, check_flag, check_leader, check_option


class LadderCombinator(BatchNormalized):
    r"""The combinator g of the Ladder network (Rasmus et al., 2015, Eq. 2), with parameters :math:`a_1` to
    :math:`a_{10}` per channel.

    .. math::
        u = \mathrm{norm}(t), \qquad
        \mu = a_1 \sigma(a_2 u + a_3) + a_4 u + a_5, \qquad v = a_6 \sigma(a_7 u + a_8) + a_9 u + a_{10} \\
        \hat z = (\tilde z - \mu) \, v + \mu

    The norm has neither gain nor bias, and uses the statistics of the batch also in evaluation.

    Args:
        channels: C, of lateral, top and output.
        norm: "batch" (per channel over (N, \*S)), "layer" (per sample over (C, \*S)) or "none".
        squash_gate: passes v through a sigmoid, as Tagger does (Greff et al., 2016, appendix A.6).
        eps: added to the variance.

    Attributes:
        weight: (10, C), the parameters. At first a2 = a7 = 1 and the rest is 0, so that the output is 0, or half the
            lateral with `squash_gate`.

    Shape:
        lateral, top and output (N, C, \*S).
    """

    def __init__(
        self,
        channels: int,
        *,
        norm: str = "none",
        squash_gate: bool = False,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        channels = check_size("channels", channels)
        check_option("norm", norm, NORMS)
        check_flag("squash_gate", squash_gate)
        check_eps(eps)
        self.channels, self.norm, self.squash_gate, self.eps = channels, norm, squash_gate, eps
        self.weight = nn.Parameter(torch.empty(10, channels, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """a2 and a7 become 1, the rest 0."""
        values = torch.zeros(10, self.channels)
        values[[1, 6]] = 1
        fill(self.weight, values)

    def forward(self, lateral: Tensor, top: Tensor) -> Tensor:
        """Estimates the clean lateral.

        Args:
            lateral: z~, (N, C, *S), from the encoder.
            top: t, (N, C, *S), the projection of what comes from the level above.

        Returns:
            z^, shaped like `lateral`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        lateral, top = autocast(lateral, top)
        if check_leader("lateral", lateral, parts=1) != self.channels:
            raise ValueError(f"lateral: got shape {tuple(lateral.shape)}, needs (N, {self.channels}, *S)")
        check_activation("top", top, lateral.shape, lateral, "lateral")
        if self.norm == "none":
            return ops.ladder_combine(lateral, top, self.weight, squash_gate=self.squash_gate)
        if self.norm == "batch" and self.shares_statistics:
            return ops.ladder_combine(lateral, self.normalize(top, self.eps), self.weight, squash_gate=self.squash_gate)
        # (z - mu) v + mu = v z + (1 - v) mu is the cell G1 with v for its gate, and G1 normalises within its kernel.
        content, gate = self.weight.chunk(2)
        return ops.combine_g1(top, lateral, gate, content, norm=self.norm, squash_gate=self.squash_gate, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.channels}, norm={self.norm!r}, squash_gate={self.squash_gate}, eps={self.eps}"
