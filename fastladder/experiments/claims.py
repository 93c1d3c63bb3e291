"""What the papers claim of their tables, and whether our results show it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastladder.experiments.errors import RunError
from fastladder.experiments.results import mean_and_deviation
from fastladder.experiments.tables import Table


@dataclass(frozen=True)
class Claim:
    """That one score of a table is smaller than another.

    Attributes:
        says: what that means, in words.
        smaller, larger: row and score.
        factor: by which the larger one may be multiplied before it is compared; above 1 where a score is only said to
            come close to another.
    """

    says: str
    smaller: tuple[str, str]
    larger: tuple[str, str]
    factor: float = 1.0


def read_claim(table: Table, *, says: str, smaller: str, larger: str, factor: float = 1.0) -> Claim:
    """A claim as a family's paper.yaml has it, where a row and a score are joined by a dot.

    Raises:
        RunError: the table has no such row or score.
    """
    return Claim(says, read_side(table, smaller), read_side(table, larger), factor)


def read_side(table: Table, side: str) -> tuple[str, str]:
    """A row and a score of a table, from "row.score"."""
    row, _, score = side.partition(".")
    scores = [column.score for column in table.columns]
    if score not in scores:
        raise RunError(f"claim: got {side}, and {table.name} has the scores {', '.join(scores)}")
    return table.row(row).name, score


def verdict(claim: Claim, smaller: Sequence[float], larger: Sequence[float]) -> str:
    """Whether a claim is shown: whether the means differ by more than both deviations over seeds together.

    Args:
        claim: that is asked for.
        smaller, larger: its two scores, of every seed.
    """
    if not smaller or not larger:
        return "not tried"
    (low, spread), (high, other_spread) = mean_and_deviation(list(smaller)), mean_and_deviation(list(larger))
    difference = claim.factor * high - low
    if spread is None or other_spread is None:
        return "not shown, one seed" if difference > 0 else "not shown"
    return "shown" if difference > spread + claim.factor * other_spread else "not shown"
