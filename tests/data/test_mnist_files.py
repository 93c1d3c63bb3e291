import functools
import hashlib
import http.server
import threading

import numpy as np
import pytest
import torch

from fastladder.data import DataError, OccludedMovingDigits, mnist, mnist_files, mnist_splits, read_idx


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


@pytest.mark.parametrize("subfolder", ["", "mnist"])
@pytest.mark.parametrize("by", ["argument", "environment", "cache"])
def test_which_folder_mnist_is_looked_for_in(tmp_path, monkeypatch, write_mnist, subfolder, by):
    """Also: compressed and plain files mix, and pixels are scaled by 255."""
    write_mnist(tmp_path / subfolder)
    monkeypatch.setenv("FASTLADDER_DATA", {"argument": "/nowhere", "environment": str(tmp_path), "cache": ""}[by])
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path)
    train, test = mnist(tmp_path if by == "argument" else None)
    assert train.images.shape == (60_000, 28, 28)
    assert test.images.shape == (10_000, 28, 28)
    first = np.random.default_rng(0).integers(0, 256, (1, 1, 1), dtype=np.uint8).item()
    assert train.images[0, 0, 0] == torch.tensor(first) / 255


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


def test_missing_file(tmp_path, write_mnist):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"but no train-labels-idx1-ubyte\.gz; .*--data-dir or FASTLADDER_DATA"):
        mnist(tmp_path)


@pytest.mark.parametrize("where", ["", "MNIST/raw"])
def test_files_that_differ_are_refused(tmp_path, write_mnist, write_idx, where):
    write_mnist(tmp_path)
    one, other = tmp_path / "t10k-labels-idx1-ubyte.gz", tmp_path / where / "t10k-labels-idx1-ubyte"
    if where:
        write_mnist(tmp_path / where)
        (tmp_path / where / one.name).unlink()
    labels = read_idx(one)
    write_idx(other, labels)
    assert torch.equal(mnist(tmp_path)[1].labels, torch.from_numpy(labels).long())
    labels[-1] = (labels[-1] + 1) % 10
    write_idx(other, labels)
    with pytest.raises(DataError, match=f"^{one} and {other}: differ, .*: remove one, or name the folder"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(59_999, np.uint8), r"holds uint8 of shape \(59999,\), MNIST needs uint8 of shape \(60000,\)"),
        (np.zeros(60_000, np.int32), "holds int32 of shape"),
        (np.zeros((60_000, 1), np.uint8), r"holds uint8 of shape \(60000, 1\)"),
        (np.full(60_000, 10, np.uint8), "holds the label 10, needs 0 to 9"),
    ],
)
def test_a_file_that_is_not_mnist(tmp_path, write_mnist, write_idx, array, message):
    write_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", array)
    with pytest.raises(DataError, match=message):
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


def test_download_leaves_files_that_are_there(tmp_path, served, write_mnist):
    """Nothing is served here, so a request for any file would fail."""
    write_mnist(tmp_path / "target")
    assert mnist(tmp_path / "target", download=True)[0].fingerprint() == mnist(tmp_path / "target")[0].fingerprint()


@pytest.fixture
def served_mnist(served, write_mnist, write_idx, monkeypatch):
    """The server's folder with four files that pass for the official ones."""
    write_mnist(served)
    for name in mnist_files.FILES:
        if not (served / name).exists():
            write_idx(served / name, read_idx(served / name.removesuffix(".gz")))
        monkeypatch.setitem(mnist_files.FILES, name, hashlib.md5((served / name).read_bytes()).hexdigest())
    return served


def test_download_fetches_what_its_folder_lacks_whatever_lies_elsewhere(tmp_path, served_mnist):
    target = tmp_path / "mnist"
    target.mkdir()
    for folder in ("FashionMNIST/raw", "MNIST/raw", "raw"):
        (tmp_path / folder).mkdir(parents=True)
        for name in list(mnist_files.FILES)[: 4 if "Fashion" in folder else 3]:
            (tmp_path / folder / name).touch()
    first, *others = mnist_files.FILES
    plain = first.removesuffix(".gz")
    (served_mnist / first).unlink()  # is not served: there is the plain file
    (served_mnist / plain).rename(target / plain)
    assert [len(part) for part in mnist(tmp_path, download=True)] == [60_000, 10_000]
    assert {path.name for path in target.iterdir()} == {plain, *others}


def test_download_of_the_real_files(tmp_path, served, mnist_folder):
    for name in mnist_files.FILES:
        (served / name).symlink_to(mnist_folder / name)
    train, test = mnist(tmp_path / "target", download=True)
    assert (len(train), len(test)) == (60_000, 10_000)


@pytest.fixture(scope="module")
def real(mnist_folder):
    return mnist(mnist_folder)


def test_real_files_are_the_official_ones(mnist_folder):
    for name, md5 in mnist_files.FILES.items():
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
