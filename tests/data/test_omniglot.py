"""OMNIGLOT is upright and between 0 and 1, whichever of its two files it comes from, and says which."""

import numpy as np
import pytest
import torch

from fastladder.data import DataError, omniglot
from tests.data.grey_files import OMNIGLOT_WRITERS, alphabets, upright, write_omniglot


@pytest.mark.parametrize("name", OMNIGLOT_WRITERS)
def test_both_files_hold_the_same(name, tmp_path, monkeypatch):
    write_omniglot(tmp_path / "omniglot", name)
    monkeypatch.setenv("FASTLADDER_DATA", str(tmp_path))
    splits = omniglot()
    for part, found in (("train", splits.train), ("test", splits.test)):
        assert found.source == f"OMNIGLOT {name} {part}"
        assert found.images.dtype == torch.float32
        assert found.images.is_contiguous()
        torch.testing.assert_close(found.images, torch.from_numpy(upright(part)) / 255)
        assert found.labels.tolist() == alphabets(part).tolist()


def test_the_published_file_is_taken_first_and_the_other_has_a_caveat(tmp_path):
    write_omniglot(tmp_path, "omniglot_28x28.npz")
    caveat = omniglot(tmp_path).caveat
    assert "not comparable, nat for nat, with published ones" in caveat
    assert "\n" not in caveat
    write_omniglot(tmp_path / "below", "chardata.mat")
    splits = omniglot(tmp_path)
    assert (splits.train.source, splits.caveat) == ("OMNIGLOT chardata.mat train", "")


def test_no_omniglot(tmp_path):
    with pytest.raises(DataError, match=r"holds no chardata.mat or omniglot_28x28.npz, nor does a folder in it"):
        omniglot(tmp_path)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("chardata.mat", {"data": None}, r"data: got none, needs number of shape \(784, N\)"),
        ("chardata.mat", {"testdata": np.zeros((28, 28, 3))}, r"testdata: got .* of shape \(28, 28, 3\), needs"),
        ("chardata.mat", {"data": np.zeros((5, 784))}, r"data: got .* of shape \(5, 784\), needs"),
        ("chardata.mat", {"data": "text"}, r"data: got <U4 of shape \(1,\), needs number"),
        (
            "chardata.mat",
            {"data": np.full((784, 5), 1.5)},
            r"train: images: got values in \[1.5, 1.5\], needs \[0, 1\]",
        ),
        ("chardata.mat", {"testdata": np.full((784, 3), np.nan)}, "test: images: got values in"),
        ("chardata.mat", {"target": np.eye(50)}, r"target: got float64 of shape \(50, 50\), needs .*\(50, 5\)"),
        ("chardata.mat", {"target": np.zeros((50, 5))}, "target: got other columns than one-hot ones"),
        ("chardata.mat", {"testtarget": np.full((50, 3), 0.02)}, "testtarget: got other columns than one-hot ones"),
        ("omniglot_28x28.npz", {"test_images": None}, r"test_images: got none, needs uint8 of shape \(N, 28, 28\)"),
        ("omniglot_28x28.npz", {"train_images": upright("train") / 255}, "train_images: got float64 of shape"),
        (
            "omniglot_28x28.npz",
            {"train_images": upright("train")[:0]},
            r"train_images: got uint8 of shape \(0, 28, 28\)",
        ),
        ("omniglot_28x28.npz", {"train_character": np.arange(1, 4)}, r"train_character: got int64 of shape \(3,\)"),
        (
            "omniglot_28x28.npz",
            {"test_character": np.arange(3)},
            r"test_character: got values in \[0, 2\], needs 1 to 50",
        ),
        ("omniglot_28x28.npz", {"test_character": np.arange(49, 52)}, r"got values in \[49, 51\], needs 1 to 50"),
        ("omniglot_28x28.npz", {"alphabet_of_character": None}, "alphabet_of_character: got none, needs integer"),
        ("omniglot_28x28.npz", {"train_images": np.array([{}])}, "not a sound npz file .*allow_pickle=False"),
    ],
)
def test_a_file_of_anything_else_is_refused(name, changes, words, tmp_path):
    path = write_omniglot(tmp_path, name, changes)
    with pytest.raises(DataError, match=words) as refusal:
        omniglot(tmp_path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", OMNIGLOT_WRITERS)
@pytest.mark.parametrize(
    "spoil",
    [lambda _: b"", lambda _: b"anything else", lambda content: content[:-200]],
    ids=["empty", "another format", "truncated"],
)
def test_a_damaged_file_is_refused(name, spoil, tmp_path):
    path = write_omniglot(tmp_path, name)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match="not a sound") as refusal:
        omniglot(tmp_path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_the_real_file(omniglot_folder):
    """Whichever it is, 8 percent of its pixels are ink."""
    splits = omniglot(omniglot_folder)
    assert splits.train.images.shape == (24345, 28, 28)
    assert len(splits.test) in (8070, 8115)
    assert splits.train.images.mean() == pytest.approx(0.0805, abs=0.002)
    assert splits.train.labels.unique().tolist() == list(range(50))
