"""What the fused operators compute on the way with norm "batch", for running statistics."""

from collections.abc import Sequence

from torch import Tensor


class BatchStatistics:
    """The statistics of J projections, which a fused operator fills in; the reference leaves them out.

    Attributes:
        mean: (J, C) for projections with C channels; None where there is none.
        rstd: (J, C), one over the square root of variance plus eps.
    """

    def __init__(self) -> None:
        self.mean: Tensor | None = None
        self.rstd: Tensor | None = None

    def fill(self, statistics: Sequence[Tensor]) -> None:
        """Takes mean and reciprocal deviation from the end of a registered operator's results."""
        self.mean, self.rstd = statistics[-2:]

    def variance(self, eps: float) -> Tensor:
        """The biased variance, (J, C). It is exact enough to have eps added to it."""
        assert self.rstd is not None
        return (self.rstd.square().reciprocal() - eps).clamp(min=0)
