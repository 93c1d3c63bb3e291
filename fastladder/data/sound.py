"""Piano rolls as sound: an additive synthesiser, and files that any player plays."""

import wave
from pathlib import Path

import numpy as np
from torch import Tensor

from fastladder.data.idx import DataError
from fastladder.data.piano_rolls import LOWEST, check_roll

CONCERT_PITCH = 440.0  # Hz, of MIDI note 69
HARMONICS = 8
ATTACK, RELEASE = 0.01, 0.08  # seconds
FADING = 1.5  # per second, of the lowest harmonic; higher ones fade faster


def synthesize(roll: Tensor, seconds_per_step: float = 0.3, rate: int = 22050) -> np.ndarray:
    """The sound of a piano roll, in which a key that sounds in successive time steps is one held note.

    A note is a sum of harmonics k = 1, 2, ... of amplitude 1 / k^1.5 that fade by exp(-1.5 sqrt(k) t).

    Args:
        roll: (T, 88) float32 of zeros and ones.
        seconds_per_step: how long a time step lasts.
        rate: samples a second.

    Returns:
        float32 samples within -1 and 1, T steps long and the release of the last note; silence where nothing sounds.

    Raises:
        ValueError: an argument is not as needed; the message names it.
    """
    check_roll("roll", roll)
    if not 0 < seconds_per_step < 60:
        raise ValueError(f"seconds_per_step: got {seconds_per_step}, needs a number above 0 and below 60")
    if not 1000 <= rate <= 192_000:
        raise ValueError(f"rate: got {rate}, needs 1000 to 192000 samples a second")
    sound = np.zeros(round((len(roll) * seconds_per_step + RELEASE) * rate) + 1)
    for key in np.flatnonzero(roll.any(0).numpy()):
        frequency = CONCERT_PITCH * 2 ** ((LOWEST + int(key) - 69) / 12)
        edges = np.flatnonzero(np.diff(roll[:, key].numpy(), prepend=0, append=0))
        for begin, end in edges.reshape(-1, 2):
            note = synthesize_note(frequency, (end - begin) * seconds_per_step, rate)
            start = round(begin * seconds_per_step * rate)
            sound[start : start + len(note)] += note[: len(sound) - start]
    loudest = np.abs(sound).max()
    return (sound if loudest == 0 else 0.9 / loudest * sound).astype(np.float32)


def synthesize_note(frequency: float, seconds: float, rate: int) -> np.ndarray:
    """One note, its release included, without the harmonics that `rate` cannot represent."""
    time = np.arange(round((seconds + RELEASE) * rate)) / rate
    note = np.zeros(len(time))
    for k in range(1, HARMONICS + 1):
        if k * frequency < rate / 2:
            note += k**-1.5 * np.exp(-FADING * k**0.5 * time) * np.sin(2 * np.pi * k * frequency * time)
    return note * np.minimum(1, time / ATTACK) * np.clip((seconds + RELEASE - time) / RELEASE, 0, 1)


def write_wav(path: str | Path, samples: np.ndarray, rate: int = 22050) -> None:
    """Writes samples within -1 and 1 as a WAV file of one channel and 16 bits.

    Raises:
        ValueError: the samples are not as needed.
        DataError: the file cannot be written.
    """
    if samples.ndim != 1 or not np.all(np.abs(samples) <= 1):  # written so that NaN is refused too
        raise ValueError(f"samples: got shape {samples.shape}, needs one dimension and numbers within -1 and 1")
    try:
        with open(path, "wb") as target, wave.open(target, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(np.round(32767 * samples).astype("<i2").tobytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None
