"""The convolutional decoder cell G2."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.nn.activation import CONTENT, GATE, check_init, fill_activation
from fastladder.nn.checks import check_features, check_size, check_sizes
from fastladder.nn.convolution import Sizes, convolution, odd_kernel_size, project_top, top_projection
from fastladder.nn.preactivation import Preactivation


class ConvG2(nn.Module):
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
        super().__init__()
        check_size("top_size", top_size)
        check_size("lateral_size", lateral_size)
        check_init(init)
        self.top_size, self.lateral_size, self.dims, self.init = top_size, lateral_size, dims, init
        if lateral_kernel_size is None:
            lateral_kernel_size = odd_kernel_size(check_sizes("kernel_size", kernel_size, dims))
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        options = factory | {"dims": dims}
        self.top_projection = top_projection(top_size, 3 * lateral_size, kernel_size, stride=stride, **options)
        self.lateral_projection = convolution(lateral_size, 3 * lateral_size, lateral_kernel_size, **options)
        self.preactivation = Preactivation(2, 3 * lateral_size, norm=norm, steps=steps, **factory)
        self.weights = nn.Parameter(torch.empty(3, 5, lateral_size, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Convolutions as `torch.nn.Conv2d` draws them, gains 1, biases 0, and the weights of f as `init` says."""
        for module in (self.top_projection, self.lateral_projection, self.preactivation):
            module.reset_parameters()  # type: ignore[operator]
        for weights, default in zip(self.weights, (CONTENT, CONTENT, GATE), strict=True):
            fill_activation(weights, self.init, default)

    def forward(self, top: Tensor, lateral: Tensor, *, step: int = 0) -> Tensor:
        """Mixes two messages, each of them from the top and the lateral.

        Args:
            top: (N, top_size, *S').
            lateral: (N, lateral_size, *S).
            step: the time step, for the running statistics of norm "batch".

        Returns:
            y, shaped like `lateral`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        check_features("top", top, self.top_size, self.dims, self.top_projection.weight)
        check_features("lateral", lateral, self.lateral_size, self.dims, self.lateral_projection.weight)
        from_top = project_top(self.top_projection, top, lateral.shape[2:])
        from_lateral = self.lateral_projection(lateral)
        options = self.preactivation([from_top, from_lateral], step)
        return ops.combine_g2(from_top, from_lateral, self.weights, **options)

    def extra_repr(self) -> str:
        return f"{self.top_size}, {self.lateral_size}, init={self.init!r}"
