"""The four collections come from MATLAB files or pickles, and nothing but plain data does."""

import os
import pickle

import numpy as np
import pytest
import torch
from scipy.io import savemat

from fastladder.data import DataError, polymusic, read_polymusic

# Two pieces to train with and one each for the other parts: time steps of MIDI numbers.
PIECES = {
    "train": [[(21, 108), ()], [(60,), (60, 64, 67), (60,)]],
    "valid": [[(62,)]],
    "test": [[[], [65]]],
}


def cells(parts=PIECES):
    """The same pieces as the cell arrays of a MATLAB file."""
    content = {}
    for part, pieces in parts.items():
        array = np.empty((1, len(pieces)), object)
        for number, piece in enumerate(pieces):
            array[0, number] = np.zeros((len(piece), 88), np.uint8)
            for step, notes in enumerate(piece):
                array[0, number][step, [note - 21 for note in notes]] = 1
        content[f"{part}data"] = array
    return content


def write_pickle(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.fixture
def mat(tmp_path):
    path = tmp_path / "Nottingham.mat"
    savemat(path, cells())
    return path


def test_a_matlab_file(mat):
    splits = read_polymusic(mat)
    assert [[len(roll) for roll in part.rolls] for part in splits] == [[2, 3], [1], [2]]
    first = splits.train.rolls[0]
    assert first.dtype == torch.float32
    assert first.nonzero().tolist() == [[0, 0], [0, 87]]
    assert splits.train.rolls[1][1].nonzero()[:, 0].tolist() == [39, 43, 46]
    assert splits.test.source == "Nottingham test"


@pytest.mark.parametrize("protocol", [0, 2])
def test_a_pickle_holds_the_same(mat, tmp_path, protocol):
    path = write_pickle(tmp_path / "Nottingham.pickle", PIECES, protocol)
    for ours, theirs in zip(read_polymusic(path), read_polymusic(mat), strict=True):
        assert ours.fingerprint() == theirs.fingerprint()


def test_a_pickle_of_python_2(tmp_path):
    """Its text is bytes, its integers may be long."""
    path = tmp_path / "Nottingham.pickle"
    path.write_bytes(b"(dS'train'\n(l(l(I60\nL64L\ntaasS'valid'\n(l(l(I60\ntaasS'test'\n(l(l(taas.")
    splits = read_polymusic(path)
    assert splits.train.rolls[0].nonzero().tolist() == [[0, 39], [0, 43]]
    assert not splits.test.rolls[0].any()


@pytest.mark.parametrize("below", ["", "polymusic"])
def test_a_collection_is_found_in_a_folder_and_in_one_below(below, mat, tmp_path, monkeypatch):
    folder = tmp_path / "data" / below
    folder.mkdir(parents=True)
    mat.rename(folder / mat.name)
    write_pickle(folder / "Nottingham.pickle", {**PIECES, "train": PIECES["test"]})
    found = polymusic("nottingham", tmp_path / "data")
    assert found.train.steps == 5  # the MATLAB file, not the pickle
    monkeypatch.setenv("FASTLADDER_DATA", str(tmp_path / "data"))
    assert polymusic("nottingham").train.fingerprint() == found.train.fingerprint()
    with pytest.raises(DataError, match=r"holds no JSB_Chorales.mat or JSB Chorales.pickle"):
        polymusic("jsb")


def test_a_collection_that_cannot_be_found(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTLADDER_DATA", raising=False)
    with pytest.raises(ValueError, match="collection: got 'bach', needs one of jsb, nottingham, piano, muse"):
        polymusic("bach", tmp_path)
    with pytest.raises(DataError, match=r"MuseData.mat or MuseData.pickle is needed: name the folder"):
        polymusic("muse")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        polymusic("muse", tmp_path / "nowhere")


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {**PIECES, "valid": Harmful()},
            r"not a pickle of plain data \(it holds (posix|nt).system, and may hold lists",
        ),
        ({**PIECES, "valid": [[(np.int64(60),)]]}, "it holds numpy"),
        ([1, 2], "needs a dictionary of the lists train, valid and test"),
        ({"train": []}, "needs a dictionary of the lists"),
        ({**PIECES, "valid": []}, "valid: rolls: got"),
        ({**PIECES, "valid": [[]]}, "valid: piece 0: got list, needs a list of one time step at least"),
        ({**PIECES, "train": [[(60,)], [(60,), (20,)]]}, "train: piece 1: step 1: got note 20, needs 21 to 108"),
        ({**PIECES, "train": [[(109,)]]}, "train: piece 0: step 0: got note 109"),
        ({**PIECES, "train": [[(60.5,)]]}, r"train: piece 0: step 0: got \(60.5,\), needs a list or tuple of integers"),
        ({**PIECES, "train": [[(True,)]]}, r"got \(True,\), needs"),
        ({**PIECES, "train": [["60"]]}, "got '60', needs"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(content, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_pickle(tmp_path / "music.pickle", content)
    with pytest.raises(DataError, match=words) as refusal:
        read_polymusic(path)
    assert str(path) in str(refusal.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"validdata": np.zeros((2, 88))}, "has no cell array validdata"),
        ({"testdata": None}, "has no cell array testdata"),
        ({"traindata": np.zeros((3, 87))}, r"train: rolls\[0\]: got torch.float32 of shape \(3, 87\)"),
        ({"traindata": np.zeros((0, 88))}, r"train: rolls\[0\]: got torch.float32 of shape \(0, 88\)"),
        ({"traindata": np.full((2, 88), np.nan)}, r"train: rolls\[0\]: got nan at step 0, key 0, needs 0 or 1"),
        ({"traindata": "text"}, r"train: rolls\[0\]: got ndarray, needs numbers"),
    ],
)
def test_a_matlab_file_of_anything_else_is_refused(changes, words, tmp_path):
    content = cells()
    for name, value in changes.items():
        if value is None:
            del content[name]
        elif name == "traindata":
            content[name] = np.empty((1, 1), object)
            content[name][0, 0] = value
        else:
            content[name] = value
    path = tmp_path / "music.mat"
    savemat(path, content)
    with pytest.raises(DataError, match=words) as refusal:
        read_polymusic(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("name", ["music.mat", "music.pickle"])
@pytest.mark.parametrize("content", [None, b"", b"\x80\x04", b"anything else"])
def test_a_damaged_or_missing_file_is_refused(name, content, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="no such file" if content is None else "not a") as refusal:
        read_polymusic(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
