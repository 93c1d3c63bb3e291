"""Piano rolls are of zeros and ones, and know how long they are and what they hold."""

import pytest
import torch

from fastladder.data import KEYS, PianoRolls


def roll(steps, *notes):
    """A roll with these (step, key)."""
    made = torch.zeros(steps, KEYS)
    for step, key in notes:
        made[step, key] = 1
    return made


def test_pieces_and_their_steps():
    pieces = PianoRolls((roll(3, (0, 5)), roll(2)), "made up")
    assert (len(pieces), pieces.steps) == (2, 5)
    both = pieces.joined(PianoRolls((roll(4),), "others"))
    assert (len(both), both.steps, both.source) == (3, 9, "made up")


def test_the_fingerprint_is_of_the_content_alone():
    first = PianoRolls((roll(3, (0, 5)), roll(2)), "made up").fingerprint()
    assert PianoRolls((roll(3, (0, 5)), roll(2)), "elsewhere").fingerprint() == first
    others = [(roll(3, (0, 6)), roll(2)), (roll(2, (0, 5)), roll(3)), (roll(5, (0, 5)),), (roll(2), roll(3, (0, 5)))]
    fingerprints = {PianoRolls(rolls, "made up").fingerprint() for rolls in others}
    assert len(fingerprints | {first}) == 5


@pytest.mark.parametrize(
    ("rolls", "words"),
    [
        ((), "needs a tuple of one at least"),
        ([roll(2)], "needs a tuple"),
        ((roll(2), roll(2)[:, :87]), r"rolls\[1\]: got torch.float32 of shape \(2, 87\), needs float32 \(T, 88\)"),
        ((roll(0),), r"rolls\[0\]: got torch.float32 of shape \(0, 88\)"),
        ((roll(2).double(),), "torch.float64"),
        ((roll(2, (1, 3)) * 2,), r"rolls\[0\]: got 2 at step 1, key 3, needs 0 or 1"),
        ((roll(2, (1, 3)) * float("nan"),), r"rolls\[0\]: got nan at step 0, key 0"),
    ],
)
def test_what_is_no_roll_is_refused(rolls, words):
    with pytest.raises(ValueError, match=words):
        PianoRolls(rolls, "made up")
