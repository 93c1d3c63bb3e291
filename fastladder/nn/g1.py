"""The decoder cell G1, dense and convolutional."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.nn.activation import CONTENT, GATE, activation_values, check_init
from fastladder.nn.checks import check_features, check_size
from fastladder.nn.convolution import Sizes, project_top, top_projection
from fastladder.nn.preactivation import Preactivation
from fastladder.nn.reset import fill, reset_children


class ProjectedG1(nn.Module):
    """The base of `G1` and `ConvG1`, which differ in their projection only."""

    projection: nn.Module

    def __init__(
        self,
        top_size: int,
        lateral_size: int,
        *,
        norm: str,
        squash_gate: bool,
        init: str,
        dims: int,
        steps: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        top_size, lateral_size = check_size("top_size", top_size), check_size("lateral_size", lateral_size)
        check_init(init)
        self.top_size, self.lateral_size, self.dims = top_size, lateral_size, dims
        self.squash_gate, self.init = squash_gate, init
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.preactivation = Preactivation(1, lateral_size, norm=norm, steps=steps, **factory)
        self.gate = nn.Parameter(torch.empty(5, lateral_size, **factory))
        self.content = nn.Parameter(torch.empty(5, lateral_size, **factory))

    def reset_parameters(self) -> None:
        """Draws the projection anew; gains become 1, biases 0, gate and content as `init` says."""
        reset_children(self)
        # Where the gate passes a sigmoid of its own, f need not.
        fill(self.gate, activation_values(self.lateral_size, self.init, CONTENT if self.squash_gate else GATE))
        fill(self.content, activation_values(self.lateral_size, self.init, CONTENT))

    def forward(self, top: Tensor, lateral: Tensor, step: int = 0) -> Tensor:
        """Mixes the lateral with content that is computed from the top.

        Args:
            top: (N, top_size, *S'), where S' is S divided by the stride.
            lateral: (N, lateral_size, *S).
            step: the time step, for the running statistics of norm "batch".

        Returns:
            y, shaped like `lateral`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        check_features("top", top, self.top_size, self.dims, self.projection)
        check_features("lateral", lateral, self.lateral_size, self.dims, self.projection)
        projection = self.project(top, lateral.shape[2:])

        def combine(*, gain: Tensor | None, **normalization: Any) -> Tensor:
            normalization |= {"gain": None if gain is None else gain[0], "squash_gate": self.squash_gate}
            return ops.combine_g1(projection, lateral, self.gate, self.content, **normalization)

        return self.preactivation([projection], combine, step)

    def project(self, top: Tensor, size: torch.Size) -> Tensor:
        """The projection of the top, (N, lateral_size, *S), with the spatial size of the lateral."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.top_size}, {self.lateral_size}, squash_gate={self.squash_gate}, init={self.init!r}"


class G1(ProjectedG1):
    r"""The dense decoder cell G1 (Recurrent Ladder Networks, Premont-Schwarz et al., 2017, appendix A.1).

    .. math::
        u = \mathrm{gain} \, \mathrm{norm}(A v) + b, \qquad s = f(u, w_s), \qquad
        y = s \, h + (1 - s) \, f(u, w) \\
        f(u, w) = w_0 \sigma(w_1 u + w_2) + w_3 u + w_4

    Args:
        top_size: features of what comes from the top, v.
        lateral_size: features of what comes from the encoder, h, and of the output y.
        norm: "batch" (per feature over the batch), "layer" (per sample over the features) or "none".
        squash_gate: passes s through a sigmoid, which keeps it between 0 and 1.
        init: "default": s = sigmoid(u), with and without `squash_gate`, and f(u, w) = u; "ladder": f is 0 in both, as
            in the Ladder network, so that without `squash_gate` y = 0 and A gets no gradient at first.
        steps: with norm "batch", the number of time steps with running statistics of their own.

    Shape:
        top (N, top_size), lateral and output (N, lateral_size).
    """

    def __init__(
        self,
        top_size: int,
        lateral_size: int,
        *,
        norm: str = "batch",
        squash_gate: bool = False,
        init: str = "default",
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            top_size,
            lateral_size,
            norm=norm,
            squash_gate=squash_gate,
            init=init,
            dims=0,
            steps=steps,
            device=device,
            dtype=dtype,
        )
        self.projection = nn.Linear(top_size, lateral_size, bias=False, device=device, dtype=dtype)
        self.reset_parameters()

    def project(self, top: Tensor, size: torch.Size) -> Tensor:
        return self.projection(top)


class ConvG1(ProjectedG1):
    r"""The convolutional decoder cell G1 (Recurrent Ladder Networks, appendix A.1 and A.4).

    .. math::
        u = \mathrm{gain} \, \mathrm{norm}(A * v) + b, \qquad s = f(u, w_s), \qquad y = s \, h + (1 - s) \, f(u, w)

    with f as in :class:`G1`, its parameters per channel.

    Args:
        top_size: channels of what comes from the top, v.
        lateral_size: channels of what comes from the encoder, h, and of the output y.
        kernel_size: of the convolution; one integer or one for each dimension.
        stride: how much larger the lateral is than the top; above 1 the convolution is transposed.
        norm: "batch" (per channel over batch and positions), "layer" (per sample over channels and positions) or
            "none".
        squash_gate, init, steps: as in :class:`G1`.
        dims: the number of spatial dimensions, 1, 2 or 3.

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
        norm: str = "batch",
        squash_gate: bool = False,
        init: str = "default",
        dims: int = 2,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            top_size,
            lateral_size,
            norm=norm,
            squash_gate=squash_gate,
            init=init,
            dims=dims,
            steps=steps,
            device=device,
            dtype=dtype,
        )
        self.projection = top_projection(
            top_size, lateral_size, kernel_size, stride=stride, dims=dims, device=device, dtype=dtype
        )
        self.reset_parameters()

    def project(self, top: Tensor, size: torch.Size) -> Tensor:
        return project_top(self.projection, top, size)
