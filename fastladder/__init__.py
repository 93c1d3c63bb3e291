"""fastladder: recurrent ladder networks and their relatives on fused kernels."""

from importlib.metadata import version

from fastladder import models, nn, ops, reference
from fastladder.backends import use_backend

__version__ = version("fastladder")

__all__ = ["__version__", "models", "nn", "ops", "reference", "use_backend"]
