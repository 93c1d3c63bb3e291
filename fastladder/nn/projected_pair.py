"""The convolutions of top and lateral, with which the decoder cells G2 and G3 begin."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.nn.checks import check_features, check_size, check_sizes
from fastladder.nn.convolution import Sizes, convolution, odd_kernel_size, project_top, top_projection
from fastladder.nn.preactivation import Preactivation
from fastladder.nn.reset import reset_children


class ProjectedPair(nn.Module):
    """The base of `ConvG2` and `ConvG3`: the convolutions A of the top and B of the lateral, with their norms.

    Args:
        projection_size: channels of both projections.
    """

    def __init__(
        self,
        top_size: int,
        lateral_size: int,
        projection_size: int,
        kernel_size: Sizes,
        *,
        stride: Sizes,
        lateral_kernel_size: Sizes | None,
        norm: str,
        dims: int,
        steps: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        top_size, lateral_size = check_size("top_size", top_size), check_size("lateral_size", lateral_size)
        self.top_size, self.lateral_size, self.dims = top_size, lateral_size, dims
        if lateral_kernel_size is None:
            lateral_kernel_size = odd_kernel_size(check_sizes("kernel_size", kernel_size, dims))
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        options = factory | {"dims": dims}
        self.top_projection = top_projection(top_size, projection_size, kernel_size, stride=stride, **options)
        self.lateral_projection = convolution(lateral_size, projection_size, lateral_kernel_size, **options)
        self.preactivation = Preactivation(2, projection_size, norm=norm, steps=steps, **factory)

    def reset_parameters(self) -> None:
        """Draws the convolutions anew, as `torch.nn.Conv2d` does; gains become 1, biases 0."""
        reset_children(self)

    def forward(self, top: Tensor, lateral: Tensor, step: int = 0) -> Tensor:
        """Combines top and lateral.

        Args:
            top: (N, top_size, *S'), where S' is S divided by the stride.
            lateral: (N, lateral_size, *S).
            step: the time step, for the running statistics of norm "batch".

        Returns:
            y, shaped like `lateral`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        check_features("top", top, self.top_size, self.dims, self.top_projection)
        check_features("lateral", lateral, self.lateral_size, self.dims, self.lateral_projection)
        from_top = project_top(self.top_projection, top, lateral.shape[2:])
        from_lateral = self.lateral_projection(lateral)
        return self.preactivation([from_top, from_lateral], partial(self.combine, from_top, from_lateral), step)

    def combine(self, top: Tensor, lateral: Tensor, **normalization: Any) -> Tensor:
        """The output for the two projections, given the keyword arguments gain, bias, norm and eps of the operators."""
        raise NotImplementedError
