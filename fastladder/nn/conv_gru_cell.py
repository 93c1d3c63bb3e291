"""One step of a convolutional GRU."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder.nn.checks import check_beside, check_features, check_size, check_sizes
from fastladder.nn.convolution import Sizes, convolution, odd_kernel_size
from fastladder.nn.reset import reset_children
from fastladder.nn.zero import zero_state


class ConvGRUCell(nn.Module):
    r"""A convolutional GRU cell (Ballas et al., 2016), with the formula of `torch.nn.GRUCell`.

    .. math::
        r = \sigma(W_r * x + b_r + U_r * h + c_r), \qquad z = \sigma(W_z * x + b_z + U_z * h + c_z) \\
        n = \tanh(W_n * x + b_n + r (U_n * h + c_n)), \qquad h' = (1 - z) n + z h

    Args:
        input_size: channels of the input x.
        hidden_size: channels of the hidden state h.
        kernel_size: of the input's convolution; one integer or one for each dimension. The convolution of the hidden
            state has the same kernel where it is odd; 4, 6 and 8 become 3, 3 and 5.
        stride: of the input's convolution. A size n becomes ceil(n / stride).
        bias: whether there are biases.
        dims: the number of spatial dimensions, 1, 2 or 3.

    Shape:
        input (N, input_size, *S), state and output (N, hidden_size, *S'), where S' is S divided by the stride.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kernel_size: Sizes,
        *,
        stride: Sizes = 1,
        bias: bool = True,
        dims: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = check_size("input_size", input_size), check_size("hidden_size", hidden_size)
        self.dims = dims
        kernel_size = check_sizes("kernel_size", kernel_size, dims)
        options: dict[str, Any] = dict(bias=bias, dims=dims, device=device, dtype=dtype)
        self.input_projection = convolution(input_size, 3 * hidden_size, kernel_size, stride=stride, **options)
        self.hidden_projection = convolution(hidden_size, 3 * hidden_size, odd_kernel_size(kernel_size), **options)

    def reset_parameters(self) -> None:
        """Weights and biases as `torch.nn.Conv2d` draws them."""
        reset_children(self)

    def forward(self, input: Tensor, state: Tensor | None = None) -> Tensor:
        """One time step.

        Args:
            input: (N, input_size, *S).
            state: the hidden state, (N, hidden_size, *S'); missing means zero.

        Returns:
            the new hidden state, (N, hidden_size, *S'). Under autocast it is float32.

        Raises:
            ValueError, TypeError: an argument has a wrong shape; the message names it.
        """
        check_features("input", input, self.input_size, self.dims, self.input_projection)
        projection = self.input_projection(input)
        if state is None:
            state = zero_state(projection, self.hidden_size)
        check_features("state", state, self.hidden_size, self.dims, self.hidden_projection)
        check_beside("state", state, projection)
        input_r, input_z, input_n = projection.chunk(3, dim=1)
        hidden_r, hidden_z, hidden_n = self.hidden_projection(state).chunk(3, dim=1)
        r = (input_r + hidden_r).sigmoid()
        z = (input_z + hidden_z).sigmoid()
        n = (input_n + r * hidden_n).tanh()
        return (1 - z) * n + z * state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"
