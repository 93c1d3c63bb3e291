"""Numbers of the OMNIGLOT that was made anew come with its caveat, whichever command makes them."""

import json
from dataclasses import replace

import pytest

from fastladder.cli import main
from fastladder.data.omniglot import CAVEAT
from fastladder.experiments.latent_images.tables import OMNIGLOT
from fastladder.experiments.registry import TABLES, Place
from fastladder.experiments.tables import Scale
from tests.data.grey_files import write_omniglot
from tests.experiments.command import Command

MODEL = {"latents": [2, 2], "hidden": [8, 8], "test_samples": 10}
SHARED = {
    "data": {"source": "omniglot", "batch_size": 5},
    "model": MODEL,
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
}
TINY = replace(OMNIGLOT, name="tiny-omniglot", scales={"small": Scale("Hardly anything.", SHARED)})
FILES = pytest.mark.parametrize(("file", "caveats"), [("omniglot_28x28.npz", 1), ("chardata.mat", 0)])


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Writes a file where the commands look for it."""
    monkeypatch.setenv("FASTLADDER_DATA", str(tmp_path / "data"))
    return lambda file: write_omniglot(tmp_path / "data", file)


@FILES
def test_training_and_evaluation_print_it(file, caveats, data, tmp_path, capsys):
    data(file)
    options = [f"--{section}.{name}={value}" for section, of in SHARED.items() for name, value in of.items()]
    assert main(["train", "--experiment=latent_images", f"--run={tmp_path / 'run'}", *options]) == 0
    assert capsys.readouterr().out.splitlines().count(CAVEAT) == caveats
    assert main(["evaluate", f"--run={tmp_path / 'run'}"]) == 0
    assert capsys.readouterr().out.splitlines().count(CAVEAT) == caveats
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["caveat"] == (CAVEAT if caveats else "")


@FILES
def test_a_result_has_it_and_the_table_and_the_report_print_it(file, caveats, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TABLES, "tiny-omniglot", Place(__name__, "TINY"))
    data(file)
    command = Command(tmp_path, "tiny-omniglot")
    assert command("--row=vae-2", "--row=ladder-2") == 0
    assert command.result("ladder-2")["caveat"] == (CAVEAT if caveats else "")
    assert command.report.read_text().splitlines().count(f"{CAVEAT}.") == caveats
    capsys.readouterr()
    assert command("--row=ladder-2") == 0  # nothing is left to train
    assert " ".join(capsys.readouterr().out.split()).count(CAVEAT) == caveats
