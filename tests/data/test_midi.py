"""MIDI files become piano rolls and come back as they were."""

import mido
import pytest
import torch

from fastladder.data import DataError, read_midi, read_midi_folder, write_midi
from tests.data.test_piano_rolls import roll

# Two keys at once, one held, one again after a rest.
PIECE = roll(6, (0, 39), (0, 43), (1, 39), (2, 46), (4, 46), (5, 87), (5, 0))


def write(path, *tracks, ticks_per_beat=96):
    """A file of tracks of (type, note, time, and what else the message has)."""
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    for messages in tracks:
        track = file.add_track()
        for kind, note, time, *more in messages:
            track.append(mido.Message(kind, note=note, time=time, **dict(more)))
    file.save(path)
    return path


@pytest.mark.parametrize("frame", ["quarter", "eighth", "sixteenth"])
def test_a_roll_comes_back_as_it_was(frame, tmp_path):
    write_midi(tmp_path / "piece.mid", PIECE, frame)
    assert torch.equal(read_midi(tmp_path / "piece.mid", frame), PIECE)


def test_a_time_step_is_a_part_of_a_quarter_note(tmp_path):
    path = write(
        tmp_path / "a.mid", [("note_on", 60, 0), ("note_off", 60, 96), ("note_on", 62, 0), ("note_off", 62, 48)]
    )
    lengths = {frame: read_midi(path, frame).sum(0)[[39, 41]].tolist() for frame in ("quarter", "eighth", "sixteenth")}
    assert lengths == {"quarter": [1, 1], "eighth": [2, 1], "sixteenth": [4, 2]}


def test_a_held_note_is_one_note_and_the_tempo_is_as_asked(tmp_path):
    write_midi(tmp_path / "piece.mid", PIECE, quarters_per_minute=120)
    messages = list(mido.MidiFile(tmp_path / "piece.mid").tracks[0])
    assert sum(message.type == "note_on" for message in messages) == 6
    assert messages[0].tempo == 500_000
    assert mido.MidiFile(tmp_path / "piece.mid").length == pytest.approx(6 * 0.25)


def test_notes_begin_and_end_at_the_nearest_step_and_last_one(tmp_path):
    messages = [("note_on", 60, 20), ("note_off", 60, 5), ("note_on", 64, 5), ("note_off", 64, 44)]  # eighths of 48
    made = read_midi(write(tmp_path / "a.mid", messages), "eighth")
    assert made.nonzero().tolist() == [[0, 39], [1, 43]]


def test_tracks_and_channels_sound_together_but_no_drums(tmp_path):
    tracks = [
        [("note_on", 60, 0), ("note_off", 60, 48)],
        [("note_on", 60, 48, ("channel", 3)), ("note_off", 60, 48, ("channel", 3))],
        [("note_on", 35, 0, ("channel", 9)), ("note_off", 35, 480, ("channel", 9))],
    ]
    assert read_midi(write(tmp_path / "a.mid", *tracks), "eighth").nonzero().tolist() == [[0, 39], [1, 39]]


def test_notes_without_an_end_or_with_a_silent_one(tmp_path):
    messages = [
        ("note_on", 60, 0), ("note_on", 60, 48), ("note_on", 62, 48, ("velocity", 0)), ("note_on", 64, 0),
        ("note_on", 60, 48, ("velocity", 0)),
    ]  # fmt: skip
    made = read_midi(write(tmp_path / "a.mid", messages), "eighth")
    assert made[:, 39].tolist() == [1, 1, 1]
    assert made[:, 41].tolist() == [0, 0, 0]
    assert made[:, 43].tolist() == [0, 0, 1]


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path):
    (tmp_path / "b").mkdir()
    write_midi(tmp_path / "b" / "first.MID", PIECE)
    write_midi(tmp_path / "c.midi", PIECE[:1])
    (tmp_path / "readme.txt").write_text("no music")
    pieces = read_midi_folder(tmp_path)
    assert [len(piece) for piece in pieces.rolls] == [6, 1]
    with pytest.raises(DataError, match="holds no MIDI file"):
        read_midi_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "not a sound MIDI file"),
        (b"MThd and then nothing", "not a sound MIDI file"),
        (b"RIFF....", "not a sound MIDI file"),
        (b"MThd\0\0\0\6\0\0\0\1\xe7\x28MTrk\0\0\0\4\0\xff\x2f\0", "counts time in seconds, needs ticks"),
    ],
)
def test_a_broken_file_is_refused(content, words, tmp_path):
    path = tmp_path / "broken.mid"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words) as refusal:
        read_midi(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "has no notes"),
        ([("note_on", 60, 0), ("note_on", 20, 7)], "0: got note 20 at tick 7, needs 21 to 108"),
        ([("note_on", 109, 0)], "got note 109"),
        ([("note_on", 60, 0), ("note_off", 60, 48 * 100_001)], "lasts 100001 time steps, needs 100000 or less"),
    ],
)
def test_a_file_without_music_for_a_piano_is_refused(messages, words, tmp_path):
    path = write(tmp_path / "a.mid", messages)
    with pytest.raises(DataError, match=words) as refusal:
        read_midi(path)
    assert str(path) in str(refusal.value)


def test_bad_arguments_are_refused(tmp_path):
    path = tmp_path / "piece.mid"
    with pytest.raises(ValueError, match="frame: got 'half', needs one of quarter, eighth, sixteenth"):
        write_midi(path, PIECE, "half")
    with pytest.raises(ValueError, match="frame: got 'half'"):
        read_midi(path, "half")
    with pytest.raises(ValueError, match=r"roll: got torch.float32 of shape \(6, 80\)"):
        write_midi(path, PIECE[:, :80])
    with pytest.raises(ValueError, match="quarters_per_minute: got 0"):
        write_midi(path, PIECE, quarters_per_minute=0)
    with pytest.raises(DataError, match="cannot be written"):
        write_midi(tmp_path / "nowhere" / "piece.mid", PIECE)
