import doctest
import json
import re
from pathlib import Path

import pytest

import fastladder
from fastladder.cli import main
from fastladder.experiments.occluded_moving_digits.demo import MINUTES
from fastladder.experiments.training import read_checkpoint


@pytest.fixture(scope="module")
def demo(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["demo", *tiny]) == 0
    return folder / "runs" / "demo"


def test_result(demo):
    result = json.loads((demo / "result.json").read_text())
    assert set(result["test"]) >= {"classification_error", "next_frame_error", "predict_zero", "copy_last"}
    assert 0 <= result["test"]["classification_error"] <= 100
    assert result["epochs"] == 3
    assert result["sequences_per_second"] > 0
    assert result["wall_seconds"] > 0
    step = result["training_step"]
    assert step["speedup"] == step["reference_seconds"] / step["fused_seconds"]
    assert set(result["environment"]) >= {"command", "commit", "device", "versions", "seed"}
    assert result["configuration"]["data"]["source"] == "bundled"


def test_pictures(demo):
    for name in ("predictions.png", "learning_curves.png"):
        assert (demo / name).read_bytes().startswith(b"\x89PNG")


def test_its_network_is_loaded_as_the_readme_says(demo, monkeypatch):
    readme = Path(fastladder.__file__).resolve().parent.parent / "README.md"
    (session,) = re.findall(r"```pycon\n(.*?)```", readme.read_text(), flags=re.DOTALL)
    monkeypatch.chdir(demo.parent.parent)
    example = doctest.DocTestParser().get_doctest(session, {}, "README.md", None, None)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_a_second_demonstration_starts_over_and_resume_goes_on(demo, tiny, tmp_path, capsys):
    run = f"--run={tmp_path}"
    assert main(["demo", *tiny, run, "--minutes=1e-6"]) == 0
    assert len(read_checkpoint(tmp_path / "last.ckpt")["fastladder"]["history"]) == 1
    assert main(["demo", *tiny, run, "--minutes=1e-6"]) == 0
    assert len(read_checkpoint(tmp_path / "last.ckpt")["fastladder"]["history"]) == 1
    capsys.readouterr()
    assert main(["demo", *tiny, run, "--resume"]) == 0
    printed = capsys.readouterr().out
    for words in ("classification error", "copying the last frame", "sequences per second", "fused", "reference"):
        assert words in printed
    assert printed.rstrip().endswith(f'from fastladder.experiments import load; network = load("{tmp_path}")')
    one, other = (json.loads((folder / "result.json").read_text()) for folder in (demo, tmp_path))
    assert one["test"] == other["test"]


def test_a_demonstration_in_another_precision(tiny, tmp_path):
    """The pictures and the speed are of float32 all the same."""
    assert main(["demo", *tiny, "--trainer.max_epochs=1", "--trainer.precision=64", f"--run={tmp_path}"]) == 0
    assert (tmp_path / "predictions.png").exists()


def test_the_demonstration_ends_in_time():
    assert MINUTES <= 5
