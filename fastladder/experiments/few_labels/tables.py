"""Ladder networks on digits with few labels (Rasmus et al., 2015): dense and convolutional, and without denoising."""

from typing import Any

from fastladder.experiments.experiment import Configuration
from fastladder.experiments.few_labels.experiment import FEW_LABELS
from fastladder.experiments.phases import train_once
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Scale, Table
from fastladder.models.ladder import LADDER_CONV_SMALL_DENOISING, LADDER_MLP_DENOISING


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Trains and evaluates a network."""
    return train_once(attempt, FEW_LABELS)


def scale_of(epochs: int, **data: Any) -> Configuration:
    """What the rows of a scale share."""
    return {
        "data": data,
        "model": {},
        "optimizer": {"learning_rate": 2e-3, "decay": 0.33},
        "trainer": {"max_epochs": epochs},
    }


def denoising(network: str, weights: tuple[float, ...], noise: tuple[float, ...]) -> Configuration:
    """A network and its costs."""
    return {"network": network, "weights": list(weights), "noise": list(noise)}


FEW = {"labels": 100, "unlabelled": True}
SMALL_MLP = denoising("small-mlp", (1.0,) * 6, (0.2,) * 6)

LADDER_MNIST = Table(
    name="ladder-mnist",
    title="Digits with few labels (Ladder networks, Rasmus et al., 2015)",
    columns=(Column("classification_error", "error (%)"),),
    rows=(
        Row("mlp-100", "Ladder, 100 labels", {"data": FEW}),
        Row("mlp-1000", "Ladder, 1,000 labels", {"data": {**FEW, "labels": 1000}}),
        Row("mlp-100-supervised", "The same without denoising, 100 labels", {"data": FEW}),
        Row("conv-100", "Convolutional Ladder, 100 labels", {"data": FEW}),
    ),
    scales={
        "paper": Scale(
            "MNIST, 50,000 digits to learn from where the paper has 60,000; the paper's MLP and Conv-Small.",
            scale_of(150, source="mnist"),
            {
                "mlp-100": {"model": denoising("mlp", *LADDER_MLP_DENOISING[100])},
                "mlp-1000": {"model": denoising("mlp", *LADDER_MLP_DENOISING[1000])},
                "mlp-100-supervised": {"model": denoising("mlp", (0.0,) * 7, LADDER_MLP_DENOISING[100].noise)},
                "conv-100": {"model": denoising("conv", *LADDER_CONV_SMALL_DENOISING[100])},
            },
        ),
        "small": Scale(
            "scikit-learn's 1,797 digits of 8 x 8 in place of MNIST, 1,258 of them to learn from; 250-100-50-50 in "
            "place of 1000-500-250-250-250, a convolutional network in miniature, and 100 epochs of 12 steps.",
            scale_of(100, source="bundled", sizes=[1258, 180, 359]),
            {
                "mlp-100": {"model": SMALL_MLP},
                "mlp-1000": {"model": SMALL_MLP},
                "mlp-100-supervised": {"model": {**SMALL_MLP, "weights": [0.0] * 6}},
                "conv-100": {"model": denoising("small-conv", (1.0,) * 7, (0.2,) * 7)},
            },
        ),
    },
    experiment=FEW_LABELS,
    attempt=train_and_evaluate,
)
