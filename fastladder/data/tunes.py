"""Melodies over chords that a program makes up, for tests and a first run without any download."""

import numpy as np
import torch
from torch import Tensor

from fastladder.data.piano_rolls import KEYS, LOWEST, PianoRolls, PianoRollSplits

SCALE = (0, 2, 4, 5, 7, 9, 11)  # C major, in semitones
BARS_AFTER = {0: (3, 4, 5), 1: (4,), 3: (0, 1, 4), 4: (0, 5), 5: (1, 3)}  # by degree of a chord, those that may follow
STEPS_PER_BAR = 8  # eighth notes
MIDDLE = 60 - LOWEST  # the key of middle C


def made_up_tunes(count: int = 200, bars: int = 8, seed: int = 0) -> PianoRollSplits:
    """Tunes in C major: a bass note and a chord in every bar, and a melody in eighth notes above.

    The chords follow each other as in simple songs, and begin and end on the tonic. The melody moves by steps of the
    scale, sounds a note of the chord at the beginning of a bar and at its middle, and rests at times.

    Args:
        count: how many tunes; three in five are to learn from, and one in five each to choose by and to report on.
        bars: of a tune, 8 time steps each.
        seed: the same seed makes the same tunes.

    Raises:
        ValueError: there would be none in a part, or no bar.
    """
    if count < 5:
        raise ValueError(f"count: got {count}, needs 5 or more")
    if bars < 2:
        raise ValueError(f"bars: got {bars}, needs 2 or more")
    generator = np.random.default_rng(seed)
    tunes = tuple(make_up_tune(bars, generator) for _ in range(count))
    ends = (0, 3 * count // 5, 4 * count // 5, count)
    names = ("train", "valid", "test")
    return PianoRollSplits(
        *(PianoRolls(tunes[a:b], f"made-up tunes {name}") for name, a, b in zip(names, ends, ends[1:], strict=False))
    )


def make_up_tune(bars: int, generator: np.random.Generator) -> Tensor:
    """One tune, (8 * bars, 88)."""
    chords = [0]
    while len(chords) < bars - 1:
        chords.append(int(generator.choice(BARS_AFTER[chords[-1]])))
    chords.append(0)
    roll = torch.zeros(bars * STEPS_PER_BAR, KEYS)
    degree = 7  # of the melody: the octave of the tonic
    for bar, chord in enumerate(chords):
        steps = slice(bar * STEPS_PER_BAR, (bar + 1) * STEPS_PER_BAR)
        roll[steps, key_of(chord) - 24] = 1
        for third in (0, 2, 4):
            roll[steps, key_of(chord + third)] = 1
        for step in range(STEPS_PER_BAR):
            if step % (STEPS_PER_BAR // 2) == 0:
                degree = nearest_of_chord(degree, chord)
            else:
                degree = int(np.clip(degree + generator.choice((-1, -1, 0, 1, 1)), 5, 14))
            if step == 0 or generator.random() > 0.15:
                roll[steps.start + step, key_of(degree) + 12] = 1
    return roll


def key_of(degree: int) -> int:
    """The key of a degree of the scale, counted from middle C."""
    octave, within = divmod(degree, len(SCALE))
    return MIDDLE + 12 * octave + SCALE[within]


def nearest_of_chord(degree: int, chord: int) -> int:
    """The degree nearest to another, of the lower ones if there are two, that belongs to the triad on `chord`."""
    members = [d for d in range(5, 15) if (d - chord) % len(SCALE) in (0, 2, 4)]
    return min(members, key=lambda member: abs(member - degree))
