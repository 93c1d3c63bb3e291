"""The layouts in which MNIST is found, and those in which it is not. Of the files only labels are more than empty."""

import re
from pathlib import Path

import numpy as np
import pytest

from fastladder.data import DataError, mnist
from fastladder.data.mnist_folders import FASHION, FILES, describe, find_copies, find_folders

LABELS = "train-labels-idx1-ubyte.gz"


@pytest.fixture
def lay_out(tmp_path, write_idx):
    """Lays the four files out in a folder, with labels that start as given."""

    def lay_out(folder, spell=lambda name: name, *, labels=(3, 1), names=FILES):
        for name in names:
            path = tmp_path / folder / spell(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == LABELS:
                write_idx(path, np.array([*labels, 2, 7], np.uint8))
            else:
                path.touch()
        return tmp_path / folder

    return lay_out


def plain(name):
    return name.removesuffix(".gz")


def dotted(name):
    return name.replace("-idx", ".idx")


SPELLINGS = {
    "official": lambda name: name,
    "plain": plain,
    "dot": lambda name: dotted(plain(name)),
    "dot, gzip": dotted,
    "Kaggle's folders": lambda name: f"{plain(name)}/{plain(name)}",
    "unpacked with the name within": lambda name: f"{plain(name)}/{dotted(plain(name))}",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("folder", ["", "mnist", "MNIST", "raw", "MNIST/raw", "mnist/MNIST/raw"])
def test_mnist_is_found(tmp_path, lay_out, folder, spell):
    place = lay_out(folder, spell)
    assert find_folders(tmp_path) == [place]
    for name in FILES:
        assert find_copies(place, name) == [place / spell(name)]


def test_each_file_is_found_twice_as_kaggle_has_it(lay_out):
    """Beside a file its archive has a folder, called as others call the file, with the file once more."""
    spellings = [SPELLINGS["dot"], SPELLINGS["Kaggle's folders"]]
    folder, _ = (lay_out("archive", spell) for spell in spellings)
    assert find_folders(folder) == [folder]
    for name in FILES:
        assert find_copies(folder, name) == [folder / spell(name) for spell in spellings]


def test_other_data_beside_mnist_is_left_alone(tmp_path, lay_out):
    for folder in ("FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw", "fashion-mnist"):
        lay_out(folder)
    assert find_folders(tmp_path) == []
    assert find_folders(lay_out("MNIST/raw").parents[1]) == [tmp_path / "MNIST" / "raw"]


@pytest.mark.parametrize(
    "name", ["FashionMNIST", "fashion", "fashion_mnist", "fmnist", "F-MNIST", "KMNIST", "kuzushiji", "EMNIST", "qmnist"]
)
@pytest.mark.parametrize("raw", ["", "raw"])
def test_a_folder_of_other_data_is_refused_by_its_name(tmp_path, lay_out, monkeypatch, name, raw):
    folder = lay_out(f"{name}/{raw}")
    with pytest.raises(DataError, match=f"{folder} holds other data, as the name {name} says"):
        mnist(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match=f"holds other data, as the name {name} says"):
        mnist(".")


@pytest.mark.parametrize("name", ["MNIST_data", "some-mnist", "fashion-and-mnist", "fashion/mnist", "kmnist/mnist/raw"])
def test_a_folder_of_mnist_with_a_name_somewhat_alike(lay_out, name):
    folder = lay_out(name)
    assert find_folders(folder) == [folder]


def test_fashion_mnist_is_refused_by_its_labels(tmp_path, lay_out):
    fashion = lay_out("raw", labels=FASHION)
    with pytest.raises(DataError, match=f"{fashion} holds Fashion-MNIST, as its labels show"):
        mnist(tmp_path)
    assert find_folders(tmp_path) == []
    assert find_folders(lay_out("mnist").parent) == [tmp_path / "mnist"]


def test_files_from_several_folders_are_not_mixed(tmp_path, lay_out):
    first, *others = FILES
    here, there = lay_out("", names=[first]), lay_out("MNIST/raw", names=others)
    message = (
        f"{here}: no folder there holds all four files of MNIST: {here} holds {first} but no {', '.join(others)}; "
        f"{here / 'MNIST'} holds raw/; {there} holds {', '.join(others)} but no {first}: name the folder"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        mnist(tmp_path)


def test_a_folder_with_some_of_the_files_is_no_hindrance(tmp_path, lay_out):
    lay_out("", names=[LABELS])
    assert find_folders(lay_out("MNIST/raw").parents[1]) == [tmp_path / "MNIST" / "raw"]


def test_the_error_says_what_lies_there(tmp_path):
    assert describe(tmp_path) == f"{tmp_path} holds nothing; no folder below it is called mnist or raw"
    (tmp_path / "emnist").mkdir()
    (tmp_path / "mnist.npz").touch()
    assert describe(tmp_path) == f"{tmp_path} holds emnist/, mnist.npz; no folder below it is called mnist or raw"
    for index in range(10):
        (tmp_path / f"{index}.png").touch()
    seen = ", ".join(f"{index}.png" for index in range(8))
    with pytest.raises(DataError, match=f"{tmp_path} holds {seen}, 4 more; .*--data-dir or FASTLADDER_DATA.*download"):
        mnist(tmp_path)


def test_links_are_followed_once(tmp_path, lay_out):
    place = lay_out("mnist")
    (tmp_path / "raw").symlink_to(place)
    (place / "MNIST").symlink_to(tmp_path)
    assert find_folders(tmp_path) == [place]


def test_a_link_to_other_data_is_refused(tmp_path, lay_out):
    (tmp_path / "mnist").symlink_to(lay_out("FashionMNIST"))
    assert find_folders(tmp_path) == []


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=rf"^{tmp_path}: cannot be read \(Permission denied\)"):
        mnist(tmp_path)
