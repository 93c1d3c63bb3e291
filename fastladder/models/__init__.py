"""Whole networks."""

from fastladder.models.levels import Level
from fastladder.models.rladder import RLadder, RLadderOutput, RLadderState, RowState
from fastladder.models.tables import small, small_static, small_temporal, table5, table6, table7, table8, table9

__all__ = [
    "Level",
    "RLadder",
    "RLadderOutput",
    "RLadderState",
    "RowState",
    "small",
    "small_static",
    "small_temporal",
    "table5",
    "table6",
    "table7",
    "table8",
    "table9",
]
