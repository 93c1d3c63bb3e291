"""Table 1 of Tagger, Shapes; and how a trained Tagger takes to other numbers of groups, objects and iterations."""

from typing import Any

from fastladder.experiments.phases import Phase
from fastladder.experiments.shapes.experiment import SHAPES
from fastladder.experiments.tables import Attempt, Column, Configuration, Outcome, Row, Scale, Table


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Trains and evaluates, and to see what the training is worth evaluates the untrained network too."""
    phase = Phase(attempt, SHAPES, attempt.configuration, attempt.folder)
    untrained = phase.evaluate()
    complete = phase.train(attempt.minutes)
    outcome = phase.outcome(complete=complete)
    outcome.test["untrained_ami"] = untrained[f"ami_{attempt.configuration['test']['iterations']}"]
    return outcome


def scale_of(sizes: tuple[int, int, int], model: Configuration, **trainer: Any) -> Configuration:
    """What all rows of Shapes share."""
    return {
        "data": {"dataset": "shapes", "sizes": list(sizes)},
        "model": model,
        "trainer": trainer,
        "test": {"groups": 4, "objects": 3, "iterations": 5},
    }


SCALES = {
    "paper": Scale(
        "Shapes, 50,000 images; the paper's network, 2000-1000-500, and 100 epochs.",
        scale_of((50_000, 10_000, 10_000), {}, max_epochs=100),
    ),
    # The top keeps its 500 units: a softmax over them can have one for each of the 448 shapes and places.
    "small": Scale(
        "Shapes, 50,000 images; a network of 500-250-500 in place of 2000-1000-500, 50 epochs in place of 100 with a "
        "learning rate that falls from 2e-3 in place of 4e-4, matrix products in bfloat16; 1,000 test images.",
        scale_of(
            (50_000, 1_000, 1_000),
            {"widths": [500, 250, 500], "learning_rate": 2e-3, "schedule": "linear"},
            max_epochs=50,
            precision="bf16-mixed",
        ),
    ),
}

AMI = tuple(Column(f"ami_{iteration}", f"AMI {iteration}") for iteration in (1, 3, 5))
COSTS = tuple(Column(f"cost_{iteration}", f"cost {iteration}", digits=3) for iteration in (1, 3, 5))

TABLE1 = Table(
    name="tagger-table1",
    title="Shapes, by iteration (Tagger, Table 1)",
    columns=(*AMI, *COSTS, Column("untrained_ami", "AMI untrained")),
    rows=(
        Row("batch", "Tagger, batch norm", {"model": {"norm": "batch"}}),
        Row("layer", "Tagger, layer norm", {"model": {"norm": "layer"}}),
    ),
    scales=SCALES,
    experiment=SHAPES,
    attempt=train_and_evaluate,
)

LAYER = {"norm": "layer"}
TRANSFER = Table(
    name="tagger-transfer",
    title="Shapes, one network with other groups, objects and iterations (Tagger, Fig. 4, examples A to C)",
    columns=tuple(Column(f"ami_{iteration}", f"AMI {iteration}") for iteration in (1, 3, 5, 10)),
    rows=tuple(
        Row(
            name,
            label,
            {"model": LAYER, "test": {"groups": groups, "objects": objects, "iterations": 10}},
            run=("tagger-table1", "layer"),
        )
        for name, label, groups, objects in (
            ("as-trained", "4 groups, 3 objects", 4, 3),
            ("a", "A: 2 groups, 3 objects", 2, 3),
            ("b", "B: 4 groups, 4 objects", 4, 4),
            ("c", "C: 4 groups, 2 objects", 4, 2),
        )
    ),
    scales=SCALES,
    experiment=SHAPES,
    attempt=train_and_evaluate,
)
