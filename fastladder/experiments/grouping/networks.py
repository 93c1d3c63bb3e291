"""The networks that learn to group, from the section "model" of a configuration."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from typing_extensions import Unpack

from fastladder.experiments.errors import RunError
from fastladder.models import RTagger, Tagger, rtagger_shapes
from fastladder.nn import TagOptions

# For Shapes, as the paper trains them. The data sets have been checked, so that the values need not be.
OPTIONS: TagOptions = {"groups": 4, "likelihood": "bernoulli", "initial_mean": 0.26, "validate": False}


def tagger(
    data_shape: tuple[int, ...],
    widths: tuple[int, ...] = (2000, 1000, 500),
    norm: Literal["batch", "layer"] = "layer",
    top_activation: Literal["softmax", "relu"] = "softmax",
    **options: Unpack[TagOptions],
) -> Tagger:
    """A Tagger.

    Args:
        data_shape: of an image.
        widths, norm, top_activation: as for `fastladder.models.Tagger`.
        options: others of it, with the defaults of `OPTIONS` where these name them.
    """
    options = {**OPTIONS, **options}
    return Tagger(data_shape, widths, norm=norm, top_activation=top_activation, **options)


def rtagger(
    data_shape: tuple[int, ...], low: int = 24, high: int = 48, units: int = 48, **options: Unpack[TagOptions]
) -> RTagger:
    """An RTagger of the size of Shapes.

    Args:
        data_shape: of an image.
        low, high, units: as for `fastladder.models.rtagger_shapes`.
        options: others of `fastladder.models.RTagger`, with the defaults of `OPTIONS` where these name them.
    """
    options = {**OPTIONS, **options}
    return RTagger(rtagger_shapes(low, high, units), data_shape, **options)


NETWORKS: dict[str, Callable[..., Tagger | RTagger]] = {"tagger": tagger, "rtagger": rtagger}
OF_TRAINING = ("learning_rate", "schedule")  # which are no arguments of a network


def make_network(data_shape: tuple[int, ...], model: Mapping[str, Any]) -> Tagger | RTagger:
    """The network of a section "model", whose "network" names it; a Tagger where there is no name.

    Raises:
        RunError: there is no such network.
    """
    options = {name: value for name, value in model.items() if name not in OF_TRAINING}
    name = options.pop("network", "tagger")
    if name not in NETWORKS:
        raise RunError(f"network: got {name!r}, needs one of {', '.join(NETWORKS)}")
    return NETWORKS[name](data_shape, **options)
