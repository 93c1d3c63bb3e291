"""The parametric mapping of an RTagger: an RLadder that all groups share."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fastladder.models.rladder import Dense, Level, RLadder, RLadderState
from fastladder.nn.convolution import convolution
from fastladder.nn.reset import reset_children

FEATURES = 4  # z, m, delta and L of one group


class RLadderMapping(nn.Module):
    r"""One iteration of every group through the same RLadder, which carries a state from iteration to iteration.

    .. math::
        \hat h, \, s' = \mathrm{RLadder}([z, m, \delta, L], \, s), \qquad z', l' = W * \hat h

    with W a convolution of 1 x 1.

    Args:
        levels: of the RLadder; with classes a last `Dense` row of C + 1 units, the last of them for "no class".
        data_shape: \*D, of one frame.
        classes: C; None: it does not classify.
        steps: iterations with running statistics of their own.
    """

    def __init__(
        self, levels: Sequence[Level], data_shape: Sequence[int], classes: int | None, *, steps: int, **factory: Any
    ) -> None:
        super().__init__()
        if isinstance(levels, Sequence) and levels and getattr(levels[0], "decoder", None) is None:
            raise ValueError("levels[0]: got no decoder cell, needs one, from which z and masks come")
        self.ladder = RLadder(levels, (FEATURES, *data_shape), steps=steps, classify=classes is not None, **factory)
        top = levels[-1].encoder
        if classes is not None and not (isinstance(top, Dense) and top.units == classes + 1):
            needed = f"Dense({classes + 1}), for {classes} classes and none of them"
            raise ValueError(f"levels: got {top} on top, needs {needed}")
        self.readout = convolution(FEATURES, 2, 1, dims=len(data_shape), **factory)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        reset_children(self)

    def forward(
        self, features: Tensor, state: RLadderState | None, step: int
    ) -> tuple[Tensor, Tensor, Tensor | None, RLadderState]:
        """Maps features (M, 4, *D) to z and mask logits, (M, *D) each, the logits (M, C + 1) and the next state."""
        output = self.ladder.step(features, state, step)
        assert output.prediction is not None
        z, mask_logits = self.readout(output.prediction).unbind(1)
        return z, mask_logits, output.logits, output.state
