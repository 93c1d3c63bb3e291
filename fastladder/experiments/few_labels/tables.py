"""Ladder networks on digits with few labels (Rasmus et al., 2015): dense and convolutional, and without denoising."""

from fastladder.experiments.few_labels.experiment import FEW_LABELS
from fastladder.experiments.phases import train_once
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Table, read_scales


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Trains and evaluates a network."""
    return train_once(attempt, FEW_LABELS)


LADDER_MNIST = Table(
    name="ladder-mnist",
    title="Digits with few labels (Ladder networks, Rasmus et al., 2015)",
    columns=(Column("classification_error", "error (%)"),),
    rows=(
        Row("mlp-100", "Ladder, 100 labels"),
        Row("mlp-1000", "Ladder, 1,000 labels"),
        Row("mlp-100-supervised", "The same without denoising, 100 labels"),
        Row("conv-100", "Convolutional Ladder, 100 labels"),
    ),
    scales=read_scales(__file__, "ladder-mnist"),
    experiment=FEW_LABELS,
    attempt=train_and_evaluate,
)
