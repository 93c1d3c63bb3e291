"""Files and options that cannot be used: exit code 2, one line that names them, and no run."""

import numpy as np
import pytest

from fastladder.cli import main
from tests.data.grey_files import NORB, upright, write_norb, write_omniglot


@pytest.fixture
def refused(tmp_path, capsys):
    """Trains with options that must be refused, and returns the one line it says."""

    def run(*options):
        assert main(["train", "--experiment", "latent_images", f"--run={tmp_path / 'run'}", *options]) == 2
        assert not (tmp_path / "run").exists()
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        return said

    return run


@pytest.mark.parametrize("source", ["mnist", "omniglot", "norb"])
def test_a_folder_without_the_files_is_named(source, refused, tmp_path):
    assert str(tmp_path) in refused(f"--data.source={source}", f"--data-dir={tmp_path}")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.warm_up=-1", "warm_up: got -1, needs 0 or more"),
        ("--model.samples=0", "samples: got 0, needs 1 or more"),
        ("--model.importance=0", "importance: got 0, needs 1 or more"),
        ("--model.test_samples=0", "test_samples: got 0, needs 1 or more"),
        ("--model.hidden=[8]", "hidden: got (8,) for latents (16, 8, 4), needs one size for each layer"),
        ("--model.latents=[16,8]", "hidden: got (128, 64, 32) for latents (16, 8), needs one size for each layer"),
        ("--data.batch_size=0", "batch_size: got 0"),
        ("--data-dir=somewhere", "--data-dir: has no effect with data.source 'bundled'"),
    ],
)
def test_bad_options(option, message, refused):
    assert message in refused(option)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "train: images: got values in [1.5, 1.5], needs [0, 1]"),
        (-0.5, "train: images: got values in [-0.5, -0.5], needs [0, 1]"),
        (np.nan, "train: images: got values in [nan, nan], needs [0, 1]"),
    ],
)
def test_pixels_outside_of_0_to_1(value, message, refused, tmp_path):
    path = write_omniglot(tmp_path, "chardata.mat", {"data": np.full((784, len(upright("train"))), value)})
    assert f"{path}: {message}" in refused("--data.source=omniglot", f"--data-dir={tmp_path}")


def test_a_file_of_norb_that_is_cut_short(refused, tmp_path):
    write_norb(tmp_path)
    path = tmp_path / f"{NORB['train']}-dat.mat"
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    said = refused("--data.source=norb", f"--data-dir={tmp_path}")
    assert f"{path}: has {len(content) - 1000} bytes, its header" in said
    assert f"needs {len(content)}" in said
