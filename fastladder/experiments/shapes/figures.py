"""Shapes, and the groups that a network finds: Fig. 4 of Tagger, and the same of an RTagger."""

from fastladder.experiments.grouping.figures import Example, Load, draw, examples
from fastladder.experiments.shapes.experiment import SHAPES


def figure4_command(arguments: list[str]) -> int:
    """Draws how a network groups shapes, also with other numbers of groups and objects than in training."""
    return draw("tagger-figure4", figure4_command.__doc__, SHAPES, "shapes", figure4, arguments)


def rtagger_command(arguments: list[str]) -> int:
    """Draws how a recurrent network groups shapes, also with other numbers of groups and objects than in training."""
    return draw("rtagger-shapes", rtagger_command.__doc__, SHAPES, "shapes", figure4, arguments)


def figure4(load: Load) -> list[Example]:
    """Seven test images, from the best grouped to the worst, and the best of examples A to C."""
    shown = []
    for title, ranks, groups, objects in (
        ("", (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0), None, 3),
        ("A: 2 groups,\n3 objects", (0.0,), 2, 3),
        ("B: 4 groups,\n4 objects", (0.0,), 4, 4),
        ("C: 4 groups,\n2 objects", (0.0,), 4, 2),
    ):
        network, data = load({"test": {"objects": objects}})
        shown += examples(network, data.splits.test, title, ranks, groups=groups)
    return shown
