"""The convolutional decoder cell G3."""

from typing import Any

import torch
from torch import Tensor

from fastladder import ops
from fastladder.nn.checks import check_size
from fastladder.nn.convolution import Sizes, convolution
from fastladder.nn.projected_pair import ProjectedPair
from fastladder.nn.reset import fill, scale


class ConvG3(ProjectedPair):
    r"""The convolutional decoder cell G3 (Recurrent Ladder Networks, Premont-Schwarz et al., 2017, appendix A.3).

    .. math::
        u = \mathrm{relu}(\mathrm{gain}_0 \, \mathrm{norm}(A * v) + \mathrm{gain}_1 \, \mathrm{norm}(B * h) + c) \\
        s = \sigma(W * u), \qquad y = s \, (D * u) + (1 - s) \, (E * u)

    where W, D and E are 1x1 convolutions with a bias, which starts at 0.

    Args:
        top_size: channels of what comes from the top, v.
        lateral_size: channels of what comes from the encoder, h, and of the output y.
        hidden_size: channels of the hidden layer u.
        kernel_size: of A; one integer or one for each dimension.
        stride: how much larger the lateral is than the top; above 1 the convolution A is transposed.
        lateral_kernel_size: of B; missing means `kernel_size` where that is odd, and 3, 3 and 5 for 4, 6 and 8.
        output_scale: the initial weights of D and E are so many times those of a convolution. A cell whose output is a
            prediction should start small, since its error is of the size of its square.
        norm: "layer" (each of the two per sample over channels and positions), "batch" (per channel over batch and
            positions) or "none".
        dims: the number of spatial dimensions, 1, 2 or 3.
        steps: with norm "batch", the number of time steps with running statistics of their own.

    Shape:
        top (N, top_size, *S'), lateral and output (N, lateral_size, *S), S' = S / stride.
    """

    output_projection: Any

    def __init__(
        self,
        top_size: int,
        lateral_size: int,
        hidden_size: int,
        kernel_size: Sizes,
        *,
        stride: Sizes = 1,
        lateral_kernel_size: Sizes | None = None,
        output_scale: float = 1.0,
        norm: str = "layer",
        dims: int = 2,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        hidden_size = check_size("hidden_size", hidden_size)
        super().__init__(
            top_size,
            lateral_size,
            hidden_size,
            kernel_size,
            stride=stride,
            lateral_kernel_size=lateral_kernel_size,
            norm=norm,
            dims=dims,
            steps=steps,
            device=device,
            dtype=dtype,
        )
        if not 0 < output_scale < float("inf"):
            raise ValueError(f"output_scale: got {output_scale}, needs a number above 0")
        self.hidden_size, self.output_scale = hidden_size, output_scale
        self.output_projection = convolution(
            hidden_size, 3 * lateral_size, 1, dims=dims, bias=True, device=device, dtype=dtype
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the convolutions anew, those of D and E times `output_scale`; gains become 1, biases 0."""
        super().reset_parameters()
        weight, bias = self.output_projection.weight, self.output_projection.bias
        fill(bias, torch.zeros(bias.shape))
        factors = torch.tensor([1.0, self.output_scale, self.output_scale]).repeat_interleave(self.lateral_size)
        scale(weight, factors.view(-1, *[1] * (weight.dim() - 1)).expand(weight.shape))

    def combine(self, top: Tensor, lateral: Tensor, **normalization: Any) -> Tensor:
        hidden = ops.combine_g3_hidden(top, lateral, **normalization)
        return ops.combine_g3(self.output_projection(hidden))

    def extra_repr(self) -> str:
        return f"{self.top_size}, {self.lateral_size}, {self.hidden_size}"
