"""Networks of one to five layers of latent variables on MNIST: Fig. 3 and Table 2 of the paper of the ladder VAE.

Sonderby et al., "How to Train Deep Variational Autoencoders and Probabilistic Ladder Networks", 2016.
"""

from fastladder.experiments.latent_images.experiment import LATENT_IMAGES
from fastladder.experiments.phases import train_once
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Table, combined, read_scales

SYSTEMS = {
    "vae": "VAE",
    "vae-bn": "VAE, batch norm",
    "vae-bn-wu": "VAE, batch norm, warm-up",
    "ladder": "Ladder VAE, batch norm, warm-up",
}


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Trains and evaluates a network."""
    return train_once(attempt, LATENT_IMAGES)


# Of each row the system and the number of layers, which configurations.yaml has: the ladder of one layer is the VAE.
PARTS = {
    f"{system}-{layers}": (system, f"layers-{layers}")
    for system in SYSTEMS
    for layers in range(2 if system == "ladder" else 1, 6)
}


def label_of(system: str, layers: str) -> str:
    """What a row is called."""
    count = int(layers.removeprefix("layers-"))
    return f"{SYSTEMS[system]}, {count} layer{'s' if count > 1 else ''}"


MNIST = Table(
    name="ladder-vae-mnist",
    title="MNIST with one to five layers of latent variables (ladder VAE, Fig. 3 and Table 2)",
    columns=(
        Column("log_likelihood", "log p(x) (nats)"),
        Column("bound", "bound"),
        Column("active", "active units", digits=0),
        *(Column(f"active_z{layer}", f"z{layer}", digits=0) for layer in range(1, 6)),
    ),
    rows=tuple(Row(name, label_of(*parts)) for name, parts in PARTS.items()),
    scales={name: combined(scale, PARTS) for name, scale in read_scales(__file__, "ladder-vae-mnist").items()},
    experiment=LATENT_IMAGES,
    attempt=train_and_evaluate,
)
