"""Grouping without labels (Tagger, Greff et al., 2016): the pixels of shapes, and of textured digits."""

from fastladder.experiments.tagger.data import GroupedBatch, GroupedData
from fastladder.experiments.tagger.task import TaggerTask

__all__ = ["GroupedBatch", "GroupedData", "TaggerTask"]
