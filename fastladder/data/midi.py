"""Piano rolls from MIDI files, and back, by way of mido."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastladder.data.idx import DataError
from fastladder.data.piano_rolls import KEYS, LOWEST, PianoRolls, check_note, check_roll

FRAMES = {"quarter": 1.0, "eighth": 0.5, "sixteenth": 0.25}  # how many quarter notes a time step lasts
DRUMS = 9  # the channel of percussion, whose notes are no pitches
LONGEST = 100_000  # time steps; a file that would have more is taken for a broken one
SUFFIXES = (".mid", ".midi")


def read_midi(path: str | Path, frame: str = "eighth") -> Tensor:
    """The piano roll of a MIDI file.

    All tracks and channels sound together, without percussion. A note begins and ends at the nearest time step, and
    lasts one at least. Tempo, loudness and pedals leave no trace.

    Args:
        path: the file.
        frame: how long a time step is: "quarter", "eighth" or "sixteenth".

    Returns:
        (T, 88) float32, up to the end of the last note.

    Raises:
        ValueError: the frame is none of these.
        DataError: the file is missing or broken, has no notes, or one that a piano does not have; the message names
            file and place.
    """
    ticks_of_frame = check_frame(frame)
    path = Path(path)
    midi = import_mido(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file, a MIDI file is needed")
    try:
        file = midi.MidiFile(path)
    except Exception as error:  # whatever the parser makes of a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a sound MIDI file ({reason})") from None
    if not 0 < file.ticks_per_beat < 2**15:
        raise DataError(f"{path}: counts time in seconds, needs ticks of a quarter note")
    ticks_of_frame *= file.ticks_per_beat
    notes = [note for number, track in enumerate(file.tracks) for note in notes_of_track(track, f"{path}: {number}")]
    if not notes:
        raise DataError(f"{path}: has no notes, needs one at least")
    spans = [(key, round(begin / ticks_of_frame), round(end / ticks_of_frame)) for key, begin, end in notes]
    spans = [(key, begin, max(begin + 1, end)) for key, begin, end in spans]
    steps = max(end for _, _, end in spans)
    if steps > LONGEST:
        raise DataError(f"{path}: lasts {steps} time steps, needs {LONGEST} or less")
    roll = torch.zeros(steps, KEYS)
    for key, begin, end in spans:
        roll[begin:end, key] = 1
    return roll


def read_midi_folder(folder: str | Path, frame: str = "eighth") -> PianoRolls:
    """The piano rolls of all MIDI files in a folder and below it, in the order of their paths. See `read_midi`.

    Raises:
        ValueError, DataError: as of `read_midi`, or the folder holds none.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"{folder}: holds no MIDI file ({', '.join(SUFFIXES)}), needs one at least")
    return PianoRolls(tuple(read_midi(path, frame) for path in paths), str(folder))


def write_midi(path: str | Path, roll: Tensor, frame: str = "eighth", quarters_per_minute: float = 100.0) -> None:
    """Writes a piano roll as a MIDI file. A key that sounds in successive time steps is one held note.

    Args:
        path: the file, which is written over.
        roll: (T, 88) float32 of zeros and ones.
        frame: how long a time step is: "quarter", "eighth" or "sixteenth".
        quarters_per_minute: the tempo.

    Raises:
        ValueError: an argument is not as needed; the message names it.
        DataError: the file cannot be written.
    """
    check_roll("roll", roll)
    if not 4 <= quarters_per_minute <= 1e6:
        raise ValueError(f"quarters_per_minute: got {quarters_per_minute}, needs a number from 4 to 1e6")
    path = Path(path)
    midi = import_mido(path)
    file = midi.MidiFile(ticks_per_beat=480)
    ticks_of_frame = int(480 * check_frame(frame))
    track = file.add_track()
    track.append(midi.MetaMessage("set_tempo", tempo=midi.bpm2tempo(quarters_per_minute)))
    silence = np.zeros((1, KEYS), np.int8)
    changes = np.diff(np.concatenate([silence, roll.numpy().astype(np.int8), silence]), axis=0)
    before = 0
    for step in range(len(changes)):
        for kind, change in (("note_off", -1), ("note_on", 1)):
            for key in np.flatnonzero(changes[step] == change):
                time = (step - before) * ticks_of_frame
                track.append(midi.Message(kind, note=LOWEST + int(key), velocity=64, time=time))
                before = step
    track.append(midi.MetaMessage("end_of_track", time=(len(roll) - before) * ticks_of_frame))
    try:
        file.save(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def check_frame(frame: str) -> float:
    """How many quarter notes a time step lasts.

    Raises:
        ValueError: there is no such frame.
    """
    if frame not in FRAMES:
        raise ValueError(f"frame: got {frame!r}, needs one of {', '.join(FRAMES)}")
    return FRAMES[frame]


def import_mido(path: Path) -> Any:
    try:
        import mido
    except ImportError:
        raise DataError(f"{path}: MIDI files need mido: pip install 'fastladder[music]'") from None
    return mido


def notes_of_track(track: Any, place: str) -> list[tuple[int, int, int]]:
    """The notes of a track as key of the piano, begin and end in ticks.

    A note that never ends lasts until the track does. The same note of the same channel that begins again ends first.

    Raises:
        DataError: a note is none of a piano's.
    """
    notes: list[tuple[int, int, int]] = []
    sounding: dict[tuple[int, int], int] = {}  # since when, by channel and note
    now = 0
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
            continue
        check_note(place, message.note, f" at tick {now}")
        voice = (message.channel, message.note)
        if voice in sounding:
            notes.append((message.note - LOWEST, sounding.pop(voice), now))
        if message.type == "note_on" and message.velocity > 0:
            sounding[voice] = now
    return notes + [(note - LOWEST, begin, now) for (_, note), begin in sounding.items()]
