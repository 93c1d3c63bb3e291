"""Polyphonic music as piano rolls: which of a piano's 88 keys sound at every time step."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fastladder.data.idx import DataError

LOWEST = 21  # the MIDI number of the first key, A0
KEYS = 88  # up to C8, which is 108


@dataclass(frozen=True, eq=False)
class PianoRolls:
    """Pieces of music.

    A roll does not tell a held note from a repeated one.

    Attributes:
        rolls: each (T, 88) float32, 1 where a key sounds and 0 elsewhere; column k is MIDI note 21 + k.
        source: where they come from, in words.
    """

    rolls: tuple[Tensor, ...]
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.rolls, tuple) or not self.rolls:
            raise ValueError(f"rolls: got {self.rolls!r}, needs a tuple of one at least")
        for number, roll in enumerate(self.rolls):
            check_roll(f"rolls[{number}]", roll)

    def __len__(self) -> int:
        return len(self.rolls)

    @property
    def steps(self) -> int:
        """The time steps of all pieces together."""
        return sum(len(roll) for roll in self.rolls)

    def joined(self, other: "PianoRolls") -> "PianoRolls":
        """These pieces and then the others."""
        return PianoRolls(self.rolls + other.rolls, self.source)

    def fingerprint(self) -> str:
        """The sha256 of all pieces in hex: equal for equal content, whatever the source is called."""
        digest = hashlib.sha256()
        for roll in self.rolls:
            digest.update(len(roll).to_bytes(8, "little"))
            digest.update(roll.to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


class PianoRollSplits(NamedTuple):
    """Pieces to learn from, to choose by and to report on."""

    train: PianoRolls
    valid: PianoRolls
    test: PianoRolls


def check_note(place: str, note: int, when: str = "") -> None:
    """Checks that a MIDI number is that of a key of a piano; the message begins with `place`, and has `when` after it.

    Raises:
        DataError: it is not.
    """
    if not LOWEST <= note < LOWEST + KEYS:
        raise DataError(f"{place}: got note {note}{when}, needs {LOWEST} to {LOWEST + KEYS - 1}, the keys of a piano")


def check_roll(name: str, roll: Tensor) -> None:
    """Checks that a piano roll is (T, 88) float32 with T above 0, of zeros and ones.

    Raises:
        ValueError: it is not; the message begins with `name`.
    """
    if roll.dim() != 2 or roll.shape[1] != KEYS or len(roll) == 0 or roll.dtype != torch.float32:
        raise ValueError(
            f"{name}: got {roll.dtype} of shape {tuple(roll.shape)}, needs float32 (T, {KEYS}) with T above 0"
        )
    strange = (roll != 0) & (roll != 1)  # written so that NaN is refused too
    if strange.any():
        step, key = strange.nonzero()[0].tolist()
        raise ValueError(f"{name}: got {roll[step, key]:g} at step {step}, key {key}, needs 0 or 1")
