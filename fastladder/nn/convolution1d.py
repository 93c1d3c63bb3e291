"""Convolutions in one dimension that take activations in channels_last, as torch's own do in two dimensions only."""

from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.layout import is_channels_last


class Conv1d(nn.Conv1d):
    """`torch.nn.Conv1d`, which runs as a convolution of one row where its input is in channels_last."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not is_channels_last(input):
            return super()._conv_forward(input, weight, bias)
        padding = self.padding if isinstance(self.padding, str) else (0, *self.padding)
        row = functional.conv2d(
            input.unsqueeze(2),
            weight.unsqueeze(2),
            bias,
            (1, *self.stride),
            padding,
            (1, *self.dilation),
            self.groups,
        )
        return row.squeeze(2)


class ConvTranspose1d(nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d`, which runs as a convolution of one row where its input is in channels_last."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not is_channels_last(input):
            return super().forward(input, output_size)
        stride, padding = list(self.stride), [int(p) for p in self.padding]
        kernel_size, dilation = list(self.kernel_size), list(self.dilation)
        (more,) = self._output_padding(input, output_size, stride, padding, kernel_size, 1, dilation)
        row = functional.conv_transpose2d(
            input.unsqueeze(2),
            self.weight.unsqueeze(2),
            self.bias,
            (1, *stride),
            (0, *padding),
            (0, more),
            self.groups,
            (1, *dilation),
        )
        return row.squeeze(2)
