"""Small networks of music, by name."""

import torch

from fastladder.experiments.music.networks import NETWORKS

NEXT_STEP = ("rladder", "lstm", "gru", "rnn", "fd-rnn")
LATENT = ("vrae", "vosp")


def small(name, **options):
    """A network with 16 hidden units, always with the same weights."""
    torch.manual_seed(0)
    sizes = {} if name == "rladder" else {"hidden_size": 16}
    if name in LATENT:
        sizes["latent_size"] = 4
    return NETWORKS[name](**sizes, **options)
