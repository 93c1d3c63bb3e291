"""Textures from photographs are standardised, and say what they are of."""

import sys

import numpy as np
import pytest
import torch

from fastladder.data import DataError, brodatz, scikit_image_textures, standardised
from fastladder.data.photographed_textures import BRODATZ, PLATES


def plates():
    """Three plates, of numbers 2, 7 and 3."""
    images = np.random.default_rng(0).integers(0, 256, (3, 320, 320), dtype=np.uint8)
    return {"images": images, "plate": np.array([2, 7, 3], np.uint8)}


def write(folder, **changes):
    """Writes a file of Brodatz plates; a change to None leaves an array out."""
    content = {**plates(), **changes}
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / BRODATZ, **{key: value for key, value in content.items() if value is not None})
    return folder / BRODATZ


def test_the_plates_that_are_asked_for_in_that_order(tmp_path, monkeypatch):
    write(tmp_path / "brodatz")
    monkeypatch.setenv("FASTLADDER_DATA", str(tmp_path))
    textures = brodatz(plates=(3, 2))
    assert textures.source == "2 Brodatz plates"
    expected = standardised(torch.from_numpy(plates()["images"][[2, 0]]), "")
    assert textures.fingerprint() == expected.fingerprint() == brodatz(tmp_path, [3, 2]).fingerprint()


def test_twenty_plates_by_default():
    assert len(set(PLATES)) == 20
    assert min(PLATES) >= 1
    assert max(PLATES) <= 112


def test_no_file(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=f"holds no {BRODATZ}, nor does a folder in it: name the folder that holds it"):
        brodatz(tmp_path)
    monkeypatch.delenv("FASTLADDER_DATA", raising=False)
    with pytest.raises(DataError, match=f"{BRODATZ} is needed: name the folder that holds it"):
        brodatz()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((2,), r"plates: got \(2,\), needs two different ones at least, each once"),
        ((2, 3, 2), r"plates: got \(2, 3, 2\), needs two different ones"),
        ((2, 5), "plates: got 5, needs one of those in .*brodatz_320x320.npz"),
        ((0, 2), "plates: got 0, needs one of those in"),
    ],
)
def test_wrong_plates_are_refused(asked, message, tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match=message):
        brodatz(tmp_path, asked)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": None}, r"images: got none, needs uint8 of shape \(N, 320, 320\)"),
        ({"images": plates()["images"] / 255}, "images: got float64 of shape"),
        ({"images": plates()["images"][:, :300]}, r"images: got uint8 of shape \(3, 300, 320\)"),
        ({"images": 0 * plates()["images"]}, "images: got texture 0 of a single value"),
        ({"plate": None}, r"plate: got none, needs integer of shape \(3,\)"),
        ({"plate": np.array([2, 3])}, r"plate: got int64 of shape \(2,\)"),
        ({"plate": np.array([{}])}, "not a sound npz file .*allow_pickle=False"),
    ],
)
def test_a_file_of_anything_else_is_refused(changes, words, tmp_path):
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=words) as refusal:
        brodatz(tmp_path, (2, 3))
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_a_damaged_file_is_refused(tmp_path):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a sound npz file"):
        brodatz(tmp_path, (2, 3))


def test_the_real_plates(brodatz_folder):
    """All of them vary everywhere: no quarter of a plate is flat, or much darker or lighter than the others."""
    textures = brodatz(brodatz_folder)
    assert textures.images.shape == (20, 320, 320)
    assert textures.source == "20 Brodatz plates"
    quarters = textures.images.unfold(1, 160, 160).unfold(2, 160, 160)
    assert quarters.std((3, 4)).min() > 0.12
    assert (quarters.mean((3, 4)) - 0.5).abs().max() < 0.1


def test_textures_of_scikit_image():
    pytest.importorskip("skimage")
    textures = scikit_image_textures()
    assert textures.images.shape == (3, 512, 512)
    assert textures.source == "brick, grass and gravel of scikit-image"
    assert textures.images.unfold(1, 128, 128).unfold(2, 128, 128).std((3, 4)).min() > 0.12


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(DataError, match=r"need it: pip install 'fastladder\[textures\]'"):
        scikit_image_textures()
