"""The Ladder network, the rows that it is declared in, and the networks of its paper."""

from fastladder.models.ladder.network import LadderCosts, LadderNetwork, LadderOutput
from fastladder.models.ladder.recipes import (
    LADDER_CONV_FC_DENOISING,
    LADDER_CONV_SMALL_DENOISING,
    LADDER_MLP_DENOISING,
    Denoising,
    ladder_conv_fc,
    ladder_conv_small,
    ladder_mlp,
)
from fastladder.models.ladder.rows import AvgPool, Conv, Dense, LadderRow, MaxPool

__all__ = [
    "LADDER_CONV_FC_DENOISING",
    "LADDER_CONV_SMALL_DENOISING",
    "LADDER_MLP_DENOISING",
    "AvgPool",
    "Conv",
    "Denoising",
    "Dense",
    "LadderCosts",
    "LadderNetwork",
    "LadderOutput",
    "LadderRow",
    "MaxPool",
    "ladder_conv_fc",
    "ladder_conv_small",
    "ladder_mlp",
]
