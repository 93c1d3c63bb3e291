"""Whole networks."""

from fastladder.models.ladder import LadderCosts, LadderNetwork, LadderOutput
from fastladder.models.ladder_recipes import (
    LADDER_CONV_FC_DENOISING,
    LADDER_CONV_SMALL_DENOISING,
    LADDER_MLP_DENOISING,
    Denoising,
    ladder_conv_fc,
    ladder_conv_small,
    ladder_mlp,
)
from fastladder.models.levels import Level
from fastladder.models.rladder import RLadder, RLadderOutput, RLadderState, RowState
from fastladder.models.tables import small, small_static, small_temporal, table5, table6, table7, table8, table9
from fastladder.models.tagger import Tagger, TaggerOutput

__all__ = [
    "LADDER_CONV_FC_DENOISING",
    "LADDER_CONV_SMALL_DENOISING",
    "LADDER_MLP_DENOISING",
    "Denoising",
    "LadderCosts",
    "LadderNetwork",
    "LadderOutput",
    "Level",
    "RLadder",
    "RLadderOutput",
    "RLadderState",
    "RowState",
    "Tagger",
    "TaggerOutput",
    "ladder_conv_fc",
    "ladder_conv_small",
    "ladder_mlp",
    "small",
    "small_static",
    "small_temporal",
    "table5",
    "table6",
    "table7",
    "table8",
    "table9",
]
