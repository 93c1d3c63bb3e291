"""What the rows of every network share: the shape of a map, and torch's pools by the number of spatial dimensions."""

from torch import nn

Shape = tuple[int, ...]  # (C, *S), without the batch

MAX_POOLS: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOLS: dict[int, type[nn.Module]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def spatial_dims(*shapes: Shape) -> int:
    """The number of spatial dimensions of maps (C, *S), which must be the same for all of them."""
    dims = {len(shape) - 1 for shape in shapes}
    if len(dims) > 1 or dims == {0}:
        raise ValueError(f"got {' and '.join(map(str, shapes))}, needs maps (C, *S) with the same number of dimensions")
    return dims.pop()
