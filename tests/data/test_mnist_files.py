import functools
import hashlib
import http.server
import threading

import numpy as np
import pytest
import torch

from fastladder.data import DataError, OccludedMovingDigits, mnist, mnist_files, mnist_splits
from fastladder.data.mnist_folders import FILES


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder that a server on this machine offers in place of the mirror."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(mnist_files, "URL", f"http://127.0.0.1:{server.server_port}/")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("noise_is_mnist")
@pytest.mark.parametrize("subfolder", ["", "mnist"])
@pytest.mark.parametrize("by", ["argument", "environment", "cache"])
def test_which_folder_mnist_is_looked_for_in(tmp_path, monkeypatch, write_mnist, noise, subfolder, by):
    """Also: compressed and plain files mix, and pixels are scaled by 255."""
    write_mnist(tmp_path / subfolder)
    monkeypatch.setenv("FASTLADDER_DATA", {"argument": "/nowhere", "environment": str(tmp_path), "cache": ""}[by])
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path)
    train, test = mnist(tmp_path if by == "argument" else None)
    assert train.images.shape == (60_000, 28, 28)
    assert test.images.shape == (10_000, 28, 28)
    assert [train.source, test.source] == ["MNIST train", "MNIST t10k"]
    assert train.images[0, 0, 0] == torch.tensor(noise["train-images-idx3-ubyte"][0, 0, 0]) / 255


@pytest.mark.usefixtures("noise_is_mnist")
def test_splits_hold_out_the_last_ten_thousand(tmp_path, write_mnist):
    write_mnist(tmp_path)
    train, test = mnist(tmp_path)
    splits = mnist_splits(tmp_path)
    assert [len(part) for part in splits] == [50_000, 10_000, 10_000]
    assert torch.equal(torch.cat([splits.train.images, splits.valid.images]), train.images)
    assert torch.equal(torch.cat([splits.train.labels, splits.valid.labels]), train.labels)
    assert splits.test.fingerprint() == test.fingerprint()


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"missing: no such folder, .*--data-dir or FASTLADDER_DATA.*download"):
        mnist(tmp_path / "missing")


@pytest.mark.usefixtures("noise_is_mnist")
def test_missing_file(tmp_path, write_mnist):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    message = rf"{tmp_path}: MNIST's train-labels-idx1-ubyte not found there or .*--data-dir or FASTLADDER_DATA"
    with pytest.raises(DataError, match=message):
        mnist(tmp_path)


def test_other_data_is_taken_from_the_folder_itself_with_a_warning(tmp_path, write_mnist, noise):
    with pytest.warns(UserWarning, match=f"{tmp_path}: holds other data than MNIST"):
        train, test = mnist(write_mnist(tmp_path))
    assert [part.source for part in (train, test)] == [f"{tmp_path} train", f"{tmp_path} t10k"]
    assert torch.equal(train.labels, torch.from_numpy(noise["train-labels-idx1-ubyte"]).long())
    assert torch.equal(test.labels, torch.from_numpy(noise["t10k-labels-idx1-ubyte"]).long())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(59_999, np.uint8), r"hold uint8 of shape \(59999,\), MNIST needs uint8 of shape \(60000,\)"),
        (np.zeros(60_000, np.int32), "hold int32 of shape"),
        (np.zeros((60_000, 1), np.uint8), r"hold uint8 of shape \(60000, 1\)"),
        (np.full(60_000, 10, np.uint8), "hold 10, needs 0 to 9"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*other data than MNIST")
def test_other_data_of_another_form(tmp_path, write_mnist, write_idx, array, message):
    write_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", array)
    with pytest.raises(DataError, match=f"{tmp_path}: its train-labels {message}"):
        mnist(tmp_path)


def test_download_refuses_a_wrong_checksum(tmp_path, served, write_mnist):
    write_mnist(served)
    name = "train-images-idx3-ubyte.gz"
    (served / name).write_bytes(b"something else")
    target = tmp_path / "target"
    with pytest.raises(DataError, match=rf"{name}: the download to .*hash.*--data-dir or FASTLADDER_DATA") as caught:
        mnist(target, download=True)
    assert "\n" not in str(caught.value)
    assert not list((target / "mnist").glob("*ubyte*"))


def test_download_that_finds_no_server(tmp_path, served):
    with pytest.raises(DataError, match=r"the download to .* failed \(.*404"):
        mnist(tmp_path / "target", download=True)


def test_download_to_a_folder_that_cannot_be_made(tmp_path, served):
    (tmp_path / "target").write_text("a file in the way")
    with pytest.raises(DataError, match=r"the download to .* failed"):
        mnist(tmp_path / "target", download=True)
    assert (tmp_path / "target").read_text() == "a file in the way"


@pytest.mark.usefixtures("noise_is_mnist")
def test_download_leaves_files_that_are_there(tmp_path, served, write_mnist):
    """Nothing is served here, so a request for any file would fail."""
    write_mnist(tmp_path / "target")
    assert mnist(tmp_path / "target", download=True)[0].fingerprint() == mnist(tmp_path / "target")[0].fingerprint()


@pytest.fixture
def served_mnist(served, noise, write_idx, monkeypatch, noise_is_mnist):
    """The server's folder with four files that pass for the official ones."""
    for name, array in noise.items():
        file = write_idx(served / f"{name}.gz", array)
        monkeypatch.setitem(mnist_files.DOWNLOADS, file.name, hashlib.md5(file.read_bytes()).hexdigest())
    return served


def test_download_fetches_what_is_not_found(tmp_path, served_mnist):
    """Some lie in the folder itself, some below, and others are not MNIST's: each new file comes to lie in mnist."""
    first, second, *others = (f"{name}.gz" for name in FILES)
    for name, folder in ((first, "."), (second, "MNIST/raw")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (served_mnist / name).rename(tmp_path / folder / name)
    (tmp_path / "raw").mkdir()
    for name in others:
        (tmp_path / "raw" / name).touch()
    assert [len(part) for part in mnist(tmp_path, download=True)] == [60_000, 10_000]
    assert {path.name for path in (tmp_path / "mnist").iterdir()} == set(others)


def test_download_replaces_no_file(tmp_path, served_mnist):
    name = "t10k-labels-idx1-ubyte.gz"
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / name).write_text("somebody's work")
    with pytest.raises(DataError, match=f"{name}: starts with bytes .*: remove what is in the way"):
        mnist(tmp_path, download=True)
    assert (tmp_path / "mnist" / name).read_text() == "somebody's work"


def test_download_of_the_real_files(tmp_path, served, mnist_folder):
    for name in mnist_files.DOWNLOADS:
        (served / name).symlink_to(mnist_folder / name)
    train, test = mnist(tmp_path / "target", download=True)
    assert (len(train), len(test)) == (60_000, 10_000)


@pytest.fixture(scope="module")
def real(mnist_folder):
    return mnist(mnist_folder)


def test_real_files_are_the_official_ones(mnist_folder):
    for name, md5 in mnist_files.DOWNLOADS.items():
        assert hashlib.md5((mnist_folder / name).read_bytes()).hexdigest() == md5


def test_real_mnist(real):
    train, test = real
    assert train.images.shape == (60_000, 28, 28)
    assert test.images.shape == (10_000, 28, 28)
    assert train.images.double().mean() * 255 == pytest.approx(33.32, abs=0.005)
    assert test.images.double().mean() * 255 == pytest.approx(33.79, abs=0.005)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_trivial_predictions_of_real_sequences(real):
    """The two trivial predictors of the next observed frame, in mean squared error per pixel."""
    sequences = OccludedMovingDigits(real[1].halved(), seed=0)[:]
    last, following = sequences.observed[:, :-1], sequences.observed[:, 1:]
    # Trajectories are random: over seeds the figures spread by 0.5 %, so 2 % is four standard deviations.
    assert following.square().mean().item() == pytest.approx(708e-5, rel=0.02)
    assert (following - last).square().mean().item() == pytest.approx(906e-5, rel=0.02)
