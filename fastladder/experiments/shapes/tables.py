"""Shapes by Tagger, which is its Table 1, and by RTagger; and how they take to other numbers of groups and objects."""

from fastladder.experiments.phases import Phase
from fastladder.experiments.shapes.experiment import SHAPES
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Table, read_scales


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Trains and evaluates, and to see what the training is worth evaluates the untrained network too."""
    phase = Phase(attempt, SHAPES, attempt.configuration, attempt.folder)
    untrained = phase.evaluate()
    complete = phase.train(attempt.minutes)
    outcome = phase.outcome(complete=complete)
    outcome.test["untrained_ami"] = untrained[f"ami_{attempt.configuration['test']['iterations']}"]
    return outcome


AMI = tuple(Column(f"ami_{iteration}", f"AMI {iteration}") for iteration in (1, 3, 5))
COSTS = tuple(Column(f"cost_{iteration}", f"cost {iteration}", digits=3) for iteration in (1, 3, 5))
BY_ITERATION = (*AMI, *COSTS, Column("untrained_ami", "AMI untrained"))

TABLE1 = Table(
    name="tagger-table1",
    title="Shapes, by iteration (Tagger, Table 1)",
    columns=BY_ITERATION,
    rows=(
        Row("batch", "Tagger, batch norm"),
        Row("layer", "Tagger, layer norm"),
    ),
    scales=read_scales(__file__, "tagger-table1"),
    experiment=SHAPES,
    attempt=train_and_evaluate,
)

TRAINED = ("tagger-table1", "layer")
TRANSFER = Table(
    name="tagger-transfer",
    title="Shapes, one network with other groups, objects and iterations (Tagger, Fig. 4, examples A to C)",
    columns=tuple(Column(f"ami_{iteration}", f"AMI {iteration}") for iteration in (1, 3, 5, 10)),
    rows=(
        Row("as-trained", "4 groups, 3 objects", run=TRAINED),
        Row("a", "A: 2 groups, 3 objects", run=TRAINED),
        Row("b", "B: 4 groups, 4 objects", run=TRAINED),
        Row("c", "C: 4 groups, 2 objects", run=TRAINED),
    ),
    scales=read_scales(__file__, "tagger-transfer"),
    experiment=SHAPES,
    attempt=train_and_evaluate,
)

RECURRENT = ("rtagger-shapes", "rtagger")
RTAGGER = Table(
    name="rtagger-shapes",
    title="Shapes by a recurrent Tagger, by iteration",
    columns=BY_ITERATION,
    rows=(
        Row("rtagger", "RTagger, 4 groups, 3 objects"),
        Row("local", "RTagger without its narrow top"),
        Row("a", "RTagger, A: 2 groups, 3 objects", run=RECURRENT),
        Row("b", "RTagger, B: 4 groups, 4 objects", run=RECURRENT),
        Row("c", "RTagger, C: 4 groups, 2 objects", run=RECURRENT),
    ),
    scales=read_scales(__file__, "rtagger-shapes"),
    experiment=SHAPES,
    attempt=train_and_evaluate,
)
