"""One step of a convolutional LSTM over projections that may be normalised."""

from typing import Any

import torch
from torch import Tensor

from fastladder.backends import keeps_modules_as_written
from fastladder.nn.checks import check_beside, check_features, check_sizes
from fastladder.nn.convolution import Sizes, convolution, keeps_size, odd_kernel_size
from fastladder.nn.layout import channels_last, gains_from_channels_last, like_layout
from fastladder.nn.lstm_cell import GatedCell, State
from fastladder.ops.checks import autocast_dtype


class ConvLSTMCell(GatedCell):
    r"""A convolutional LSTM cell (Shi et al., 2015), without peepholes, whose projections may be normalised.

    .. math::
        a = \mathrm{gain}_0 \, \mathrm{norm}(W_x * x) + \mathrm{gain}_1 \, \mathrm{norm}(W_h * h)
            + \mathrm{gain}_2 \, \mathrm{norm}(W_d * d) + \mathrm{bias}, \qquad (i, f, g, o) = a \\
        c' = \sigma(f) \, c + \sigma(i) \tanh(g), \qquad h' = \sigma(o) \tanh(c')

    In Recurrent Ladder Networks (Premont-Schwarz et al., 2017, appendix A.4) the norm is "layer", and d comes from the
    decoder. `load_joined_weights` takes over the weights of a cell with one convolution of input and hidden state.

    Inside it works in the memory layout in which convolutions are fastest. The new hidden state has the layout of the
    input; the cell keeps that of the inside, for the next time step.

    Args:
        input_size: channels of the input x.
        hidden_size: channels of hidden and cell.
        kernel_size: of the input's convolution; one integer or one for each dimension. The convolutions of hidden and
            feedback, which must keep the size, have the same kernel where it is odd; 4, 6 and 8 become 3, 3 and 5.
        stride: of the input's convolution. A size n becomes ceil(n / stride).
        bias: whether there is a bias.
        norm: "none", "layer" (per sample over all gates and positions) or "batch" (per channel over batch and
            positions).
        feedback_size: channels of the third input d; 0 for none.
        forget_bias: the initial bias of the forget gate.
        hidden_gain, feedback_gain: with a norm, the initial gains of the hidden state's and of the feedback's
            projection; that of the input's is 1.
        dims: the number of spatial dimensions, 1, 2 or 3.
        steps: with norm "batch", the number of time steps with running statistics of their own.

    Shape:
        input (N, input_size, *S), state and output (N, hidden_size, *S'), feedback (N, feedback_size, *S'), where S' is
        S divided by the stride.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kernel_size: Sizes,
        *,
        stride: Sizes = 1,
        bias: bool = True,
        norm: str = "none",
        feedback_size: int = 0,
        forget_bias: float = 1.0,
        hidden_gain: float = 1.0,
        feedback_gain: float = 1.0,
        dims: int = 2,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, feedback_size, forget_bias, dims)
        kernel_size = check_sizes("kernel_size", kernel_size, dims)
        state_kernel_size = odd_kernel_size(kernel_size)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        options = factory | {"dims": dims}
        gates = 4 * hidden_size
        self.input_projection = convolution(input_size, gates, kernel_size, stride=stride, **options)
        self.hidden_projection = convolution(hidden_size, gates, state_kernel_size, **options)
        self.feedback_projection = (
            convolution(feedback_size, gates, state_kernel_size, **options) if feedback_size else None
        )
        self.preactivation = self.make_preactivation(
            norm=norm, hidden_gain=hidden_gain, feedback_gain=feedback_gain, bias=bias, steps=steps, **factory
        )
        self.reset_parameters()

    def _step(
        self, input: Tensor, state: State | None, feedback: Tensor | None, step: int, joined_weight: Tensor | None
    ) -> State:
        if not gains_from_channels_last(input):
            return super()._step(input, state, feedback, step, joined_weight)
        hidden, cell = super()._step(channels_last(input), state, feedback, step, joined_weight)
        return hidden.contiguous(), cell

    def join_weights(self, input: Tensor) -> Tensor | None:
        """The weights of input and hidden state side by side, (4 hidden_size, input_size + hidden_size, *K).

        Without a norm, with kernels of one size, one convolution of both is faster than two.

        Args:
            input: of a time step, or any with its dtype, device and memory layout.

        Returns:
            The weights in the layout of the input, under autocast in its dtype; None where the projections must be
            called one by one.
        """
        of_input: Any = self.input_projection
        of_hidden: Any = self.hidden_projection
        if self.preactivation.norm != "none" or self.feedback_projection is not None:
            return None
        if keeps_modules_as_written(input) or not (keeps_size(of_input) and keeps_size(of_hidden)):
            return None
        if of_input.kernel_size != of_hidden.kernel_size:
            return None
        dtype = autocast_dtype(of_input.weight.device) or of_input.weight.dtype
        return like_layout(torch.cat([of_input.weight.to(dtype), of_hidden.weight.to(dtype)], 1), input)

    def _project_all(
        self, input: Tensor, hidden: Tensor | None, feedback: Tensor | None, joined_weight: Tensor | None
    ) -> list[Tensor | None]:
        weight = self.join_weights(input) if joined_weight is None and hidden is not None else joined_weight
        if weight is None or hidden is None:
            return super()._project_all(input, hidden, feedback, joined_weight)
        check_features("state[0]", hidden, self.hidden_size, self.dims, self.hidden_projection)
        check_beside("state[0]", hidden, input)
        joined = torch.cat([input.to(weight.dtype), like_layout(hidden, input).to(weight.dtype)], 1)
        projection: Any = self.input_projection
        return [projection._conv_forward(joined, weight, None)]
