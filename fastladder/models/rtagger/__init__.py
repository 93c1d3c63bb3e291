"""The recurrent Tagger: an RLadder as the mapping of iterative amortized grouping."""

from fastladder.models.rtagger.network import GeneratedFrames, RTagger, RTaggerOutput, RTaggerState
from fastladder.models.rtagger.recipes import (
    rtagger_moving_mnist,
    rtagger_shapes,
    rtagger_small_motion,
    rtagger_small_textures,
    rtagger_textures,
)

__all__ = [
    "GeneratedFrames",
    "RTagger",
    "RTaggerOutput",
    "RTaggerState",
    "rtagger_moving_mnist",
    "rtagger_shapes",
    "rtagger_small_motion",
    "rtagger_small_textures",
    "rtagger_textures",
]
