"""The four collections of polyphonic music of Boulanger-Lewandowski et al. (ICML 2012), from files that the user has.

They come as MATLAB files of piano rolls, or as the pickles of the authors' page. The addresses at which they were
published are dead, so that nothing is downloaded.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastladder.data.folders import find_file
from fastladder.data.idx import DataError
from fastladder.data.matlab import read_matlab
from fastladder.data.piano_rolls import KEYS, LOWEST, PianoRolls, PianoRollSplits, check_note

# What each collection is called, and its files: cell arrays of rolls, and the pickle of the authors.
COLLECTIONS = {
    "jsb": ("JSB_Chorales.mat", "JSB Chorales.pickle"),
    "nottingham": ("Nottingham.mat", "Nottingham.pickle"),
    "piano": ("Piano_midi.mat", "Piano-midi.de.pickle"),
    "muse": ("MuseData.mat", "MuseData.pickle"),
}
PARTS = ("train", "valid", "test")


def polymusic(collection: str, folder: str | Path | None = None) -> PianoRollSplits:
    """A collection with its standard split, transposed to C, a time step for an eighth note, for a quarter in `jsb`.

    Args:
        collection: "jsb", 382 chorales by Bach; "nottingham", 1,037 folk tunes with chords; "piano", 124 pieces of
            Piano-midi.de; or "muse", 783 pieces of MuseData.
        folder: where its file lies, or the folder above; None: the one that the environment variable FASTLADDER_DATA
            names. The file is called as in `COLLECTIONS`; a MATLAB file is taken before a pickle.

    Raises:
        ValueError: there is no such collection.
        DataError: the file is missing or damaged, or holds anything but piano rolls; the message names file and place.
    """
    if collection not in COLLECTIONS:
        raise ValueError(f"collection: got {collection!r}, needs one of {', '.join(COLLECTIONS)}")
    return read_polymusic(find_file(COLLECTIONS[collection], folder))


def read_polymusic(path: str | Path) -> PianoRollSplits:
    """Reads a collection from a MATLAB file (.mat) or a pickle of the authors' format.

    A MATLAB file has the cell arrays traindata, validdata and testdata of rolls (T, 88). A pickle has a dictionary of
    the lists "train", "valid" and "test"; a piece is a list of time steps, a step a list or tuple of MIDI numbers.

    Raises:
        DataError: the file is missing or damaged, or holds anything else; the message names file and place.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file, a MATLAB file or a pickle of piano rolls is needed")
    parts = read_cells(path) if path.suffix == ".mat" else read_pickle(path)
    splits = []
    for part, rolls in zip(PARTS, parts, strict=True):
        try:
            splits.append(PianoRolls(tuple(rolls), f"{path.stem} {part}"))
        except ValueError as error:
            raise DataError(f"{path}: {part}: {error}") from None
    return PianoRollSplits(*splits)


def read_cells(path: Path) -> list[list[Tensor]]:
    """The rolls of train, valid and test from the cell arrays of a MATLAB file."""
    content = read_matlab(path)
    parts: list[list[Tensor]] = []
    for part in PARTS:
        cells = content.get(f"{part}data")
        if cells is None or cells.dtype != object:
            raise DataError(f"{path}: has no cell array {part}data, needs that of the piano rolls to {part} with")
        parts.append([])
        for number, cell in enumerate(cells.flat):
            if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "buif":
                raise DataError(f"{path}: {part}: rolls[{number}]: got {type(cell).__name__}, needs numbers")
            parts[-1].append(torch.from_numpy(cell.astype(np.float32)))
    return parts


class PlainUnpickler(pickle.Unpickler):
    """Reads a pickle of built-in containers, numbers and text. Anything that would run code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds {module}.{name}, and may hold lists, tuples and integers only")


def read_pickle(path: Path) -> list[list[Tensor]]:
    """The rolls of train, valid and test from a pickle of MIDI numbers."""
    try:
        with open(path, "rb") as file:
            content = PlainUnpickler(file, encoding="latin1").load()
    except Exception as error:  # whatever the parser makes of a damaged file
        raise DataError(f"{path}: not a pickle of plain data ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list | tuple) for part in PARTS):
        raise DataError(f"{path}: needs a dictionary of the lists train, valid and test")
    return [
        [roll_of_numbers(piece, f"{path}: {part}: piece {number}") for number, piece in enumerate(content[part])]
        for part in PARTS
    ]


def roll_of_numbers(piece: Any, place: str) -> Tensor:
    """The roll of a list of time steps, each a list or tuple of MIDI numbers; `place` is named where one is not.

    Raises:
        DataError: the piece holds anything else, or a note that a piano does not have.
    """
    if not isinstance(piece, list | tuple) or not piece:
        raise DataError(f"{place}: got {type(piece).__name__}, needs a list of one time step at least")
    roll = torch.zeros(len(piece), KEYS)
    for step, notes in enumerate(piece):
        if not isinstance(notes, list | tuple) or not all(type(note) is int for note in notes):
            raise DataError(f"{place}: step {step}: got {notes!r}, needs a list or tuple of integers")
        for note in notes:
            check_note(f"{place}: step {step}", note)
            roll[step, note - LOWEST] = 1
    return roll
