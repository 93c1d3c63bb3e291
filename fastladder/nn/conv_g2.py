"""The convolutional decoder cell G2."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.nn.activation import CONTENT, GATE, activation_values, check_init
from fastladder.nn.checks import check_size
from fastladder.nn.convolution import Sizes
from fastladder.nn.projected_pair import ProjectedPair
from fastladder.nn.reset import fill


class ConvG2(ProjectedPair):
    r"""The convolutional decoder cell G2 (Recurrent Ladder Networks, Premont-Schwarz et al., 2017, appendix A.2).

    .. math::
        a_q = \mathrm{gain}_{0q} \, \mathrm{norm}(A_q * v) + \mathrm{gain}_{1q} \, \mathrm{norm}(B_q * h) + c_q \\
        (\mu_1, \mu_2, s)_q = f(a_q, w_q), \qquad y = s \, \mu_1 + (1 - s) \, \mu_2

    with f as in :class:`G1`.

    Args:
        top_size: channels of what comes from the top, v.
        lateral_size: channels of what comes from the encoder, h, and of the output y.
        kernel_size: of A; one integer or one for each dimension.
        stride: how much larger the lateral is than the top; above 1 the convolutions A are transposed.
        lateral_kernel_size: of B; missing means `kernel_size` where that is odd, and 3, 3 and 5 for 4, 6 and 8.
        norm: "layer" (each of the six per sample over channels and positions), "batch" (per channel over batch and
            positions) or "none".
        init: "default": mu1 and mu2 are linear and s is a sigmoid; "ladder": all are 0, as in the Ladder network.
        dims: the number of spatial dimensions, 1, 2 or 3.
        steps: with norm "batch", the number of time steps with running statistics of their own.

    Shape:
        top (N, top_size, *S'), lateral and output (N, lateral_size, *S), S' = S / stride.
    """

    def __init__(
        self,
        top_size: int,
        lateral_size: int,
        kernel_size: Sizes,
        *,
        stride: Sizes = 1,
        lateral_kernel_size: Sizes | None = None,
        norm: str = "layer",
        init: str = "default",
        dims: int = 2,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        lateral_size = check_size("lateral_size", lateral_size)  # before it is multiplied
        super().__init__(
            top_size,
            lateral_size,
            3 * lateral_size,
            kernel_size,
            stride=stride,
            lateral_kernel_size=lateral_kernel_size,
            norm=norm,
            dims=dims,
            steps=steps,
            device=device,
            dtype=dtype,
        )
        check_init(init)
        self.init = init
        self.weights = nn.Parameter(torch.empty(3, 5, lateral_size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the convolutions anew; gains become 1, biases 0, the weights of f as `init` says."""
        super().reset_parameters()
        starts = [activation_values(self.lateral_size, self.init, default) for default in (CONTENT, CONTENT, GATE)]
        fill(self.weights, torch.stack(starts))

    def combine(self, top: Tensor, lateral: Tensor, **normalization: Any) -> Tensor:
        return ops.combine_g2(top, lateral, self.weights, **normalization)

    def extra_repr(self) -> str:
        return f"{self.top_size}, {self.lateral_size}, init={self.init!r}"
