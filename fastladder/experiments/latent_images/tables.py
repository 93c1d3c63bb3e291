"""The tables of the ladder VAE: networks of one to five layers of latent variables on MNIST, OMNIGLOT and small NORB.

Sonderby et al., "How to Train Deep Variational Autoencoders and Probabilistic Ladder Networks", 2016.
"""

import time
from dataclasses import replace
from typing import Any

from fastladder.experiments.experiment import Configuration
from fastladder.experiments.latent_images.experiment import LATENT_IMAGES
from fastladder.experiments.phases import Phase, minutes_until, train_once
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Scale, Table, combined, joined, read_scales

# What each system is called, and what of configurations.yaml it is made of beside a number of layers.
SYSTEMS = {
    "vae": ("VAE", ["vae"]),
    "vae-bn": ("VAE, batch norm", ["vae-bn"]),
    "vae-bn-wu": ("VAE, batch norm, warm-up", ["vae-bn", "warm-up"]),
    "ladder": ("Ladder VAE, batch norm, warm-up", ["ladder", "warm-up"]),
}
LAYERS = {system: range(2 if system == "ladder" else 1, 6) for system in SYSTEMS}  # a ladder of one layer is the VAE
LIKELIHOOD = Column("log_likelihood", "log p(x) (nats)")
BOUND = Column("bound", "bound")
ACTIVE = (
    Column("active", "active units", digits=0),
    *(Column(f"active_z{layer}", f"z{layer}", digits=0) for layer in range(1, 6)),
)


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Trains and evaluates a network."""
    return train_once(attempt, LATENT_IMAGES)


def scales_of(table: str) -> dict[str, Scale]:
    """The scales of a table, with every system and number of layers."""
    parts = {
        f"{system}-{layers}": [*SYSTEMS[system][1], f"layers-{layers}"]
        for system in SYSTEMS
        for layers in LAYERS[system]
    }
    return {name: combined(scale, parts) for name, scale in read_scales(__file__, table).items()}


def row_of(system: str, layers: int) -> Row:
    """The row of a system with so many layers."""
    return Row(f"{system}-{layers}", f"{SYSTEMS[system][0]}, {layers} layer{'s' if layers > 1 else ''}")


def table_by_layers(name: str, title: str, digits: int = 2) -> Table:
    """A table with a row for every system and number of layers, and so many digits of a likelihood after the point."""
    return Table(
        name=name,
        title=title,
        columns=(replace(LIKELIHOOD, digits=digits), replace(BOUND, digits=digits), *ACTIVE),
        rows=tuple(row_of(system, layers) for system in SYSTEMS for layers in LAYERS[system]),
        scales=scales_of(name),
        experiment=LATENT_IMAGES,
        attempt=train_and_evaluate,
    )


MNIST = table_by_layers(
    "ladder-vae-mnist", "MNIST with one to five layers of latent variables (ladder VAE, Fig. 3 and Table 2)"
)
OMNIGLOT = table_by_layers(
    "ladder-vae-omniglot", "OMNIGLOT with one to five layers of latent variables (ladder VAE, Table 3)"
)
NORB = table_by_layers(
    "ladder-vae-norb", "Small NORB with one to five layers of latent variables (ladder VAE, Table 3)", digits=1
)


def fine_tune(attempt: Attempt) -> Outcome:
    """Trains a network as ladder-vae-mnist does, where that has not been done, goes on from it, and evaluates it.

    Adam starts afresh. Where the time does not suffice for the first training, this is what is evaluated.
    """
    configuration, before = attempt.configuration, attempt.before
    if before is None:
        return train_and_evaluate(attempt)
    end = None if attempt.minutes is None else time.monotonic() + 60 * attempt.minutes
    first = Phase(attempt, LATENT_IMAGES, {"seed": configuration["seed"], **configuration["first_training"]}, before)
    if not first.train(attempt.minutes):
        return first.outcome(complete=False)
    second = Phase(attempt, LATENT_IMAGES, configuration, attempt.folder)
    second.task.load_state_dict(first.task.state_dict())
    complete = second.train(minutes_until(end))
    return second.outcome(complete=complete, before=[first])


FINE_TUNED = {"vae": ("VAE", "vae-bn-wu-5"), "ladder": ("Ladder VAE", "ladder-5")}  # each with its row of MNIST
SAMPLES = {f"mc{mc}-iw{iw}": f"MC {mc}, IW {iw}" for iw in (1, 10) for mc in (1, 10)}


def fine_tuned_rows() -> list[Row]:
    """Of every network the row without fine-tuning, and those with so many samples."""
    rows = []
    for system, (label, row) in FINE_TUNED.items():
        place = (MNIST.name, row)
        rows.append(Row(f"{system}-none", f"{label}, trained once", run=place))
        rows += [Row(f"{system}-{key}", f"{label}, {samples}", after=place) for key, samples in SAMPLES.items()]
    return rows


def fine_tuned_scale(name: str, changes: Scale) -> Scale:
    """A scale of fine-tuning.

    Args:
        name: of the scale, as of that of MNIST.
        changes: what the second training changes of the first one's configuration.
    """
    rows: dict[str, Configuration] = {}
    for system, (_, row) in FINE_TUNED.items():
        first = MNIST.configuration(MNIST.row(row), name, seed=0)
        del first["seed"]
        rows[f"{system}-none"] = first
        for key in SAMPLES:
            second = joined([first, changes.shared, changes.rows[key]])
            rows[f"{system}-{key}"] = {**second, "first_training": first}
    return Scale(changes.caption, {"data": {}, "model": {}, "trainer": {}, "first_training": {}}, rows)


FINE_TUNING = Table(
    name="ladder-vae-finetuning",
    title="MNIST with five layers of latent variables, fine-tuned (ladder VAE, Table 1)",
    columns=(LIKELIHOOD, BOUND, *ACTIVE),
    rows=tuple(fine_tuned_rows()),
    scales={
        name: fine_tuned_scale(name, changes)
        for name, changes in read_scales(__file__, "ladder-vae-finetuning").items()
    },
    experiment=LATENT_IMAGES,
    attempt=fine_tune,
)


FEW = 100  # importance samples, as published for MNIST that is drawn once


def train_and_evaluate_twice(attempt: Attempt) -> Outcome:
    """Trains a network, and evaluates it also with few importance samples."""
    phase = Phase(attempt, LATENT_IMAGES, attempt.configuration, attempt.folder)
    outcome = phase.outcome(complete=phase.train(attempt.minutes))
    task: Any = phase.task
    task.test_samples = FEW
    outcome.test[f"log_likelihood_{FEW}"] = phase.evaluate()["log_likelihood"]
    return outcome


STATIC = Table(
    name="ladder-vae-static",
    title="MNIST drawn once, with three layers, beside github.com/addtt/ladder-vae-pytorch",
    columns=(BOUND, Column(f"log_likelihood_{FEW}", f"log p(x), {FEW} samples"), LIKELIHOOD, *ACTIVE[:4]),
    rows=(row_of("vae-bn-wu", 3), row_of("ladder", 3)),
    scales=scales_of("ladder-vae-static"),
    experiment=LATENT_IMAGES,
    attempt=train_and_evaluate_twice,
)
