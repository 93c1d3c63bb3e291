"""Every experiment, table and figure by its name: the one file at the top of experiments/ that knows the families."""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fastladder.experiments.claims import Claim, read_claim
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Experiment
from fastladder.experiments.tables import Table

HERE = "fastladder.experiments"


class Place(NamedTuple):
    """Where something is: a module, and its name there."""

    module: str
    attribute: str

    def find(self) -> Any:
        return getattr(importlib.import_module(self.module), self.attribute)


class Drawing(NamedTuple):
    """Something to draw, such as a figure of a paper: what it shows, and the function with its own options."""

    title: str
    place: Place


EXPERIMENTS = {
    "occluded_moving_digits": Place(f"{HERE}.occluded_moving_digits.experiment", "MOVING_DIGITS"),
    "few_labels": Place(f"{HERE}.few_labels.experiment", "FEW_LABELS"),
    "shapes": Place(f"{HERE}.shapes.experiment", "SHAPES"),
    "textured_digits": Place(f"{HERE}.textured_digits.experiment", "TEXTURED_DIGITS"),
    "textured_digits_grouping": Place(f"{HERE}.textured_digits.experiment", "TEXTURED_GROUPING"),
    "moving_digits": Place(f"{HERE}.moving_digits.experiment", "MOTION"),
    "music": Place(f"{HERE}.music.experiment", "MUSIC"),
    "latent_images": Place(f"{HERE}.latent_images.experiment", "LATENT_IMAGES"),
}
TRAINED = ("occluded_moving_digits", "music", "latent_images")  # by `fastladder train`, the others by tables only
DEFAULT_EXPERIMENT = "occluded_moving_digits"  # of `fastladder train` and `fastladder demo`

TABLES = {
    "rladder-table1": Place(f"{HERE}.occluded_moving_digits.tables", "TABLE1"),
    "rladder-table2": Place(f"{HERE}.occluded_moving_digits.tables", "TABLE2"),
    "rladder-music": Place(f"{HERE}.music.tables", "RLADDER_MUSIC"),
    "music-frames": Place(f"{HERE}.music.tables", "MUSIC_FRAMES"),
    "vrae-music": Place(f"{HERE}.music.tables", "VRAE_MUSIC"),
    "ladder-vae-mnist": Place(f"{HERE}.latent_images.tables", "MNIST"),
    "ladder-vae-finetuning": Place(f"{HERE}.latent_images.tables", "FINE_TUNING"),
    "ladder-vae-static": Place(f"{HERE}.latent_images.tables", "STATIC"),
    "ladder-vae-omniglot": Place(f"{HERE}.latent_images.tables", "OMNIGLOT"),
    "ladder-vae-norb": Place(f"{HERE}.latent_images.tables", "NORB"),
    "ladder-mnist": Place(f"{HERE}.few_labels.tables", "LADDER_MNIST"),
    "tagger-table1": Place(f"{HERE}.shapes.tables", "TABLE1"),
    "tagger-table2-textures1": Place(f"{HERE}.textured_digits.tables", "TEXTURES1"),
    "tagger-table2-textures2": Place(f"{HERE}.textured_digits.tables", "TEXTURES2"),
    "rtagger-textures": Place(f"{HERE}.textured_digits.tables", "GROUPING_AND_CLASSES"),
    "tagger-transfer": Place(f"{HERE}.shapes.tables", "TRANSFER"),
    "rtagger-shapes": Place(f"{HERE}.shapes.tables", "RTAGGER"),
    "rtagger-motion": Place(f"{HERE}.moving_digits.tables", "MOTION_TABLE"),
}

FIGURES = {
    "rladder-figure4": Drawing(
        "Truth, observation, prediction and probe (Recurrent Ladder Networks, Fig. 4)",
        Place(f"{HERE}.occluded_moving_digits.probe", "figure4_command"),
    ),
    "message-passing": Drawing(
        "Message passing, corrected and as printed (Recurrent Ladder Networks, appendices B and C)",
        Place(f"{HERE}.message_passing.figures", "message_passing_command"),
    ),
    "tagger-figure4": Drawing(
        "Groups of shapes, by iteration (Tagger, Fig. 4)", Place(f"{HERE}.shapes.figures", "figure4_command")
    ),
    "rtagger-shapes": Drawing(
        "Groups of shapes that a recurrent Tagger finds, by iteration",
        Place(f"{HERE}.shapes.figures", "rtagger_command"),
    ),
    "rtagger-figure7": Drawing(
        "Moving digits in groups, predicted and gone on with (Recurrent Ladder Networks, Fig. 7)",
        Place(f"{HERE}.moving_digits.figures", "figure7_command"),
    ),
    "rtagger-figure6": Drawing(
        "Groups of thick textured digits that a recurrent Tagger finds (Recurrent Ladder Networks, Fig. 6)",
        Place(f"{HERE}.textured_digits.figures", "figure6_command"),
    ),
    "tagger-figure5": Drawing(
        "Groups of textured digits, by iteration (Tagger, Fig. 5)",
        Place(f"{HERE}.textured_digits.figures", "figure5_command"),
    ),
    "vrae-figure3": Drawing(
        "Noise removed, and gaps filled in (Variational inference of latent state sequences, Fig. 3)",
        Place(f"{HERE}.music.restoration", "figure3_command"),
    ),
    "ladder-vae-figure3": Drawing(
        "Log-likelihoods by the number of layers (ladder VAE, Fig. 3)",
        Place(f"{HERE}.latent_images.records", "figure3_command"),
    ),
    "ladder-vae-figure4": Drawing(
        "How the bound rises in training (ladder VAE, Fig. 4)",
        Place(f"{HERE}.latent_images.records", "figure4_command"),
    ),
    "ladder-vae-figure5": Drawing(
        "Which units are active, by epoch (ladder VAE, Fig. 5)",
        Place(f"{HERE}.latent_images.records", "figure5_command"),
    ),
    "ladder-vae-figure6": Drawing(
        "Layers against N(0, I), and samples put in at each (ladder VAE, Fig. 6)",
        Place(f"{HERE}.latent_images.latents", "figure6_command"),
    ),
    "ladder-vae-figure7": Drawing(
        "Samples of each layer by principal components (ladder VAE, Fig. 7)",
        Place(f"{HERE}.latent_images.latents", "figure7_command"),
    ),
    "ladder-vae-images": Drawing(
        "Test images, reconstructed and new ones of a ladder VAE",
        Place(f"{HERE}.latent_images.latents", "images_command"),
    ),
}

DEMOS = {
    "rladder": Drawing(
        "A Recurrent Ladder learns occluded moving digits, in five minutes",
        Place(f"{HERE}.occluded_moving_digits.demo", "demo_command"),
    ),
    "rtagger": Drawing(
        "A recurrent Tagger learns to group shapes, in five minutes", Place(f"{HERE}.shapes.demo", "demo_command")
    ),
}
DEFAULT_DEMO = "rladder"

SAMPLES = {
    "music": Drawing(
        "A piece of music, as MIDI, as sound and as a picture", Place(f"{HERE}.music.sampling", "sample_command")
    ),
}


def find_experiment(name: str) -> Experiment[Any, Any]:
    """The experiment of that name.

    Raises:
        RunError: there is no such experiment; the message lists all.
    """
    if name not in EXPERIMENTS:
        raise RunError(f"experiment: got {name!r}, needs one of {', '.join(EXPERIMENTS)}")
    experiment: Experiment[Any, Any] = EXPERIMENTS[name].find()
    return experiment


def find_table(name: str) -> Table:
    """The table of that name.

    Raises:
        RunError: there is no such table; the message lists all.
    """
    if name not in TABLES:
        raise RunError(f"table: got {name!r}, needs one of {', '.join(TABLES)}")
    table: Table = TABLES[name].find()
    return table


def paper_numbers(table: str) -> dict[str, dict[str, tuple[float, float | None]]]:
    """What the paper prints: row -> score -> mean and deviation (None where it gives none), in the paper's unit.

    Of a table or a row that no paper has, nothing is returned.
    """
    return {
        row: {score: (cell[0], cell[1] if len(cell) > 1 else None) for score, cell in cells.items()}
        for row, cells in _of_paper(table).get("rows", {}).items()
    }


def paper_claims(table: str) -> list[Claim]:
    """What the paper concludes from a table."""
    return [read_claim(find_table(table), **claim) for claim in _of_paper(table).get("claims", [])]


def _of_paper(table: str) -> dict[str, Any]:
    """What `paper.yaml` of the table's family has of it."""
    family = TABLES[table].module.removeprefix(f"{HERE}.").split(".")[0] if table in TABLES else ""
    path = Path(__file__).parent / family / "paper.yaml"
    tables: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text()) if path.is_file() else {}
    return tables.get(table, {})


def experiment_of_record(record: dict[str, Any]) -> str:
    """The name of the experiment that a run is of, also where an older version wrote its record.

    Raises:
        RunError: it cannot be known.
    """
    configuration = record["configuration"]
    if record.get("experiment") == "grouping":  # the name of two experiments once
        return "shapes" if configuration["data"].get("dataset", "shapes") == "shapes" else "textured_digits_grouping"
    if "experiment" in record:
        return str(record["experiment"])
    # It is from before experiments had names. All that train and demo made then were moving digits, which alone have
    # these sections.
    if configuration.keys() == {"seed", "data", "model", "trainer"} and "network" in configuration["model"]:
        return "occluded_moving_digits"
    raise RunError("does not say of which experiment it is, as it is from an older version; train it anew")
