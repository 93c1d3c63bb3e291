"""Textured digits, and the groups that a network finds: Fig. 5 of Tagger, and Fig. 6 of Recurrent Ladder Networks."""

from fastladder.experiments.grouping.figures import Example, Load, draw, examples, removal
from fastladder.experiments.textured_digits.experiment import TEXTURED_DIGITS, TEXTURED_GROUPING

RANKS = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)  # of the images that are shown, from the best grouped to the worst


def figure5_command(arguments: list[str]) -> int:
    """Draws how a network groups textured digits, one digit instead of two, and what it finds below a removed one."""
    return draw("tagger-figure5", figure5_command.__doc__, TEXTURED_GROUPING, "textures2", figure5, arguments)


def figure5(load: Load) -> list[Example]:
    """Seven test images, from the best grouped to the worst, the best of example D, and examples E1 and E2."""
    network, data = load({})
    shown = examples(network, data.splits.test, "", RANKS)
    _, single = load({"data": {"dataset": "textures1"}})
    shown += examples(network, single.splits.test, "D: one digit", (0.0,))
    return shown + removal(network, data.splits.test, group=3)


def figure6_command(arguments: list[str]) -> int:
    """Draws how a network that also classifies groups thick digits: what each group takes the image for, and where."""
    return draw("rtagger-figure6", figure6_command.__doc__, TEXTURED_DIGITS, "thick_digits", figure6, arguments)


def figure6(load: Load) -> list[Example]:
    """Seven test images, from the best grouped to the worst."""
    network, data = load({})
    return examples(network, data.splits.test, "", RANKS, iterations=3)
