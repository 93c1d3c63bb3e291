"""The layouts in which MNIST is found, and those in which it is not. What passes for it here are four short arrays."""

import os

import numpy as np
import pytest

from fastladder.data import DataError, mnist
from fastladder.data.mnist_folders import FILES, find_mnist, read_others

ARRAYS = {name: np.arange(5 + index, dtype=np.uint8) for index, name in enumerate(FILES)}
FASHION = {name: array + 1 for name, array in ARRAYS.items()}
FIRST, *REST = FILES


@pytest.fixture(autouse=True)
def short_mnist(pass_for_mnist):
    pass_for_mnist(ARRAYS)


@pytest.fixture
def lay_out(tmp_path, write_idx):
    """Writes files into a folder, called as asked."""

    def lay_out(folder, spell="{}.gz", *, arrays=ARRAYS, names=FILES):
        for name in names:
            path = tmp_path / folder / spell.format(name, dotted=name.replace("-idx", ".idx"))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_idx(path, arrays[name])
        return tmp_path / folder

    return lay_out


def assert_same(found, arrays):
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def assert_found(folder):
    assert_same(find_mnist(folder)[0], ARRAYS)


SPELLINGS = {
    "official": "{}.gz",
    "plain": "{}",
    "dot": "{dotted}",
    "dot, gzip": "{dotted}.gz",
    "Kaggle's folders": "{0}/{0}",
    "unpacked with the name within": "{0}/{dotted}",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("folder", ["", "mnist", "MNIST", "raw", "MNIST/raw", "mnist/MNIST/raw"])
def test_mnist_is_found(tmp_path, lay_out, folder, spell):
    lay_out(folder, spell)
    assert_found(tmp_path)


def test_files_complete_each_other(tmp_path, lay_out):
    """So an old download left them: into mnist came what the folder lacked."""
    lay_out("", names=[FIRST])
    lay_out("mnist", names=REST)
    assert_found(tmp_path)


@pytest.mark.parametrize(("stopped", "sound"), [("{}", "{}.gz"), ("{}.gz", "{}")])
def test_a_copy_that_reads_is_preferred(tmp_path, lay_out, stopped, sound):
    """A stopped gunzip leaves an empty file beside a good one, a stopped download an empty file in place of it."""
    for name in FILES:
        (tmp_path / stopped.format(name)).touch()
    lay_out("MNIST")
    assert_found(tmp_path)
    lay_out("", sound, arrays=FASHION)
    assert_same(read_others(tmp_path)[0], FASHION)


def test_other_data_below_is_told_by_what_it_holds(tmp_path, lay_out):
    """Whatever its folder is called, and whatever MNIST's is."""
    for folder in ("raw", "MNIST/raw", "FashionMNIST/raw"):
        lay_out(folder, arrays=FASHION)
    assert find_mnist(tmp_path)[0] == {}
    lay_out("raw/mnist")
    assert_found(tmp_path)
    assert_found(lay_out("kmnist"))


@pytest.mark.parametrize("folder", ["FashionMNIST", "FashionMNIST/raw", "data/emnist", "KMNIST/raw"])
def test_a_folder_called_like_another_data_set_is_refused(tmp_path, lay_out, folder):
    lay_out(folder, arrays=FASHION)
    for named in (tmp_path, tmp_path / folder):
        assert read_others(named)[0] == {}
        with pytest.raises(DataError, match="name the folder that holds"):
            mnist(named)


def test_other_data_in_two_folders_that_differ_is_refused(tmp_path, lay_out):
    for folder in ("raw", "MNIST/raw"):
        lay_out(folder, arrays=FASHION)
    found, place = read_others(tmp_path)
    assert_same(found, FASHION)
    assert place in (tmp_path / "raw", tmp_path / "MNIST" / "raw")
    lay_out("MNIST/raw", arrays={name: array + 1 for name, array in FASHION.items()})
    with pytest.raises(DataError, match=r"MNIST/raw and other data in .*raw: name the folder that is meant"):
        mnist(tmp_path)


def test_mnist_goes_before_other_data_in_the_folder_itself(tmp_path, lay_out):
    lay_out("", arrays=FASHION)
    lay_out("mnist")
    assert_found(tmp_path)


def test_other_data_is_read_from_one_folder_alone(tmp_path, lay_out):
    for folder in ("", "mnist"):
        lay_out(folder, arrays=FASHION)
    assert_same(read_others(tmp_path)[0], FASHION)
    (tmp_path / f"{FIRST}.gz").unlink()
    assert read_others(tmp_path)[1] == tmp_path / "mnist"
    (tmp_path / "mnist" / f"{REST[0]}.gz").unlink()
    assert read_others(tmp_path)[0] == {}


def test_other_data_of_which_two_sound_copies_differ(tmp_path, lay_out):
    lay_out("", arrays=FASHION)
    lay_out("", "{}", arrays=FASHION)
    assert_same(read_others(tmp_path)[0], FASHION)
    lay_out("", "{}", names=[FIRST])
    with pytest.raises(DataError, match=rf"{tmp_path / FIRST}\.gz: differs from another copy beside it.*: remove one"):
        mnist(tmp_path)


def test_the_error_says_what_lies_there(tmp_path, lay_out):
    with pytest.raises(DataError, match=f"{tmp_path} holds nothing: name the folder"):
        mnist(tmp_path)
    lay_out("mnist", names=[FIRST])
    for index in range(10):
        (tmp_path / f"{index}.png").touch()
    seen = ", ".join(f"{index}.png" for index in range(8))
    message = (
        f"^{tmp_path}: MNIST's {', '.join(REST)} not found there or below it in folders called mnist or raw: "
        f"{tmp_path} holds {seen}, 3 more; {tmp_path / 'mnist'} holds {FIRST}.gz: "
        r"name the folder .*--data-dir or FASTLADDER_DATA.*download"
    )
    with pytest.raises(DataError, match=message):
        mnist(tmp_path)


def test_links_are_followed_once(tmp_path, lay_out):
    place = lay_out("archive", names=REST)
    (tmp_path / "raw").symlink_to(place)
    (place / "MNIST").symlink_to(tmp_path)
    found, seen = find_mnist(tmp_path)
    assert set(found) == set(REST)
    assert len(seen) == 2


@pytest.fixture
def refuse(monkeypatch):
    """Lets nobody list a folder; permissions would not keep out who runs tests as root."""
    scan = os.scandir

    def refuse(closed):
        def refusing(folder):
            if os.fspath(folder) == str(closed):
                raise PermissionError(13, "Permission denied", str(folder))
            return scan(folder)

        monkeypatch.setattr(os, "scandir", refusing)

    return refuse


@pytest.mark.parametrize("closed", ["raw", "mnist"])
def test_a_folder_below_that_cannot_be_read_is_no_hindrance(tmp_path, lay_out, refuse, closed):
    lay_out(closed)
    refuse(tmp_path / closed)
    with pytest.raises(DataError, match=rf"{tmp_path / closed} cannot be read \(Permission denied\)"):
        mnist(tmp_path)
    lay_out("")
    assert_found(tmp_path)


def test_a_folder_that_cannot_be_read(tmp_path, lay_out, refuse):
    refuse(lay_out(""))
    with pytest.raises(DataError, match=rf"{tmp_path} cannot be read \(Permission denied\)"):
        mnist(tmp_path)
