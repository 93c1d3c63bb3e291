"""The convolutional decoder cell G3."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.nn.checks import check_features, check_size, check_sizes
from fastladder.nn.convolution import Sizes, convolution, odd_kernel_size, project_top, top_projection
from fastladder.nn.preactivation import Preactivation


class ConvG3(nn.Module):
    r"""The convolutional decoder cell G3 (Recurrent Ladder Networks, Premont-Schwarz et al., 2017, appendix A.3).

    .. math::
        u = \mathrm{relu}(\mathrm{gain}_0 \, \mathrm{norm}(A * v) + \mathrm{gain}_1 \, \mathrm{norm}(B * h) + c) \\
        s = \sigma(W * u), \qquad y = s \, (D * u) + (1 - s) \, (E * u)

    where W, D and E are 1x1 convolutions with a bias.

    Args:
        top_size: channels of what comes from the top, v.
        lateral_size: channels of what comes from the encoder, h, and of the output y.
        hidden_size: channels of the hidden layer u.
        kernel_size: of A; one integer or one for each dimension.
        stride: how much larger the lateral is than the top; above 1 the convolution A is transposed.
        lateral_kernel_size: of B; missing means `kernel_size` where that is odd, and 3, 3 and 5 for 4, 6 and 8.
        norm: "layer" (each of the two per sample over channels and positions), "batch" (per channel over batch and
            positions) or "none".
        dims: the number of spatial dimensions, 1, 2 or 3.
        steps: with norm "batch", the number of time steps with running statistics of their own.

    Shape:
        top (N, top_size, *S'), lateral and output (N, lateral_size, *S), S' = S / stride.
    """

    def __init__(
        self,
        top_size: int,
        lateral_size: int,
        hidden_size: int,
        kernel_size: Sizes,
        *,
        stride: Sizes = 1,
        lateral_kernel_size: Sizes | None = None,
        norm: str = "layer",
        dims: int = 2,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_size("top_size", top_size)
        check_size("lateral_size", lateral_size)
        check_size("hidden_size", hidden_size)
        self.top_size, self.lateral_size, self.hidden_size, self.dims = top_size, lateral_size, hidden_size, dims
        if lateral_kernel_size is None:
            lateral_kernel_size = odd_kernel_size(check_sizes("kernel_size", kernel_size, dims))
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        options = factory | {"dims": dims}
        self.top_projection = top_projection(top_size, hidden_size, kernel_size, stride=stride, **options)
        self.lateral_projection = convolution(lateral_size, hidden_size, lateral_kernel_size, **options)
        self.preactivation = Preactivation(2, hidden_size, norm=norm, steps=steps, **factory)
        self.output_projection = convolution(hidden_size, 3 * lateral_size, 1, bias=True, **options)

    def reset_parameters(self) -> None:
        """Convolutions as `torch.nn.Conv2d` draws them, gains 1 and the bias c 0."""
        for module in self.children():
            module.reset_parameters()  # type: ignore[operator]

    def forward(self, top: Tensor, lateral: Tensor, *, step: int = 0) -> Tensor:
        """Decodes the lateral in the light of the top.

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
        hidden = ops.combine_g3_hidden(from_top, from_lateral, **options)
        return ops.combine_g3(self.output_projection(hidden))

    def extra_repr(self) -> str:
        return f"{self.top_size}, {self.lateral_size}, {self.hidden_size}"
