"""Latent sequences: VRAE and VOSP, and FD-RNN, the recurrent network with fast dropout beside them."""

from fastladder.models.vrae.fdrnn import FDRNN
from fastladder.models.vrae.latent_sequences import SequenceBound
from fastladder.models.vrae.posterior import PathPosterior
from fastladder.models.vrae.vosp import VOSP, VOSPState, VOSPStep
from fastladder.models.vrae.vrae import VRAE
from fastladder.models.vrae.weights import sparse_fast_dropout_

__all__ = ["FDRNN", "VOSP", "VRAE", "PathPosterior", "SequenceBound", "VOSPState", "VOSPStep", "sparse_fast_dropout_"]
