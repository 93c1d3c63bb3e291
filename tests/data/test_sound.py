"""The synthesiser plays the pitches of a roll when they sound, and nothing else."""

import wave

import numpy as np
import pytest

from fastladder.data import DataError, synthesize, write_wav
from tests.data.test_piano_rolls import roll

RATE = 8000


def loudest_frequency(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()]


@pytest.mark.parametrize(("key", "frequency"), [(48, 440.0), (39, 261.63), (60, 880.0)])
def test_a_key_sounds_at_its_frequency(key, frequency):
    sound = synthesize(roll(1, (0, key)), seconds_per_step=1.0, rate=RATE)
    assert loudest_frequency(sound) == pytest.approx(frequency, abs=1.0)


def test_notes_sound_while_the_roll_has_them():
    sound = synthesize(roll(4, (1, 48), (2, 48)), seconds_per_step=0.5, rate=RATE)
    loudness = [np.abs(sound[begin : begin + RATE // 2]).max() for begin in range(0, 4 * RATE // 2, RATE // 2)]
    assert loudness[0] == 0
    assert min(loudness[1:3]) > 0.3
    tail = sound[3 * RATE // 2 + RATE // 10 :]  # after the release
    assert np.abs(tail).max() == 0
    assert np.abs(sound).max() == pytest.approx(0.9)


def test_a_held_note_fades_and_a_repeated_one_begins_again():
    held, again = (
        synthesize(roll(*piece), 1.0, RATE) for piece in [(3, (0, 48), (1, 48), (2, 48)), (3, (0, 48), (2, 48))]
    )
    late = slice(2 * RATE, 2 * RATE + RATE // 4)
    assert np.abs(again[late]).max() > 3 * np.abs(held[late]).max()


def test_harmonics_above_what_the_rate_can_represent_are_left_out():
    sound = synthesize(roll(1, (0, 87)), seconds_per_step=1.0, rate=9000)  # 4186 Hz, the only harmonic below 4500
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    frequencies = np.fft.rfftfreq(len(sound), 1 / 9000)
    assert spectrum[frequencies < 4000].max() < 1e-3 * spectrum.max()


def test_silence():
    assert not synthesize(roll(2), rate=RATE).any()


def test_a_file_that_others_can_read(tmp_path):
    samples = synthesize(roll(2, (0, 48)), rate=RATE)
    write_wav(tmp_path / "piece.wav", samples, RATE)
    with wave.open(str(tmp_path / "piece.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        content = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_allclose(content / 32767, samples, atol=1e-4)


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="roll: got"):
        synthesize(roll(2)[:, :5])
    with pytest.raises(ValueError, match="seconds_per_step: got 0"):
        synthesize(roll(2), seconds_per_step=0)
    with pytest.raises(ValueError, match="rate: got 10"):
        synthesize(roll(2), rate=10)
    for samples in (np.zeros((2, 2)), np.array([np.nan]), np.array([1.5])):
        with pytest.raises(ValueError, match="samples: got shape"):
            write_wav(tmp_path / "a.wav", samples)
    with pytest.raises(DataError, match="cannot be written"):
        write_wav(tmp_path / "nowhere" / "a.wav", np.zeros(3))
