"""Variational autoencoders with several layers of latent variables: the ladder VAE and the hierarchical VAE."""

from fastladder.models.ladder_vae.bound import Bound, LatentLayer
from fastladder.models.ladder_vae.hierarchical_vae import HierarchicalVAE
from fastladder.models.ladder_vae.ladder_vae import LadderVAE

__all__ = ["Bound", "HierarchicalVAE", "LadderVAE", "LatentLayer"]
