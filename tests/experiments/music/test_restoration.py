"""Noise and gaps: what is damaged, what is scored, and `fastladder figure vrae-figure3`."""

import json

import pytest
import torch

from fastladder.cli import main
from fastladder.data import KEYS, made_up_tunes
from fastladder.experiments.music.figures import GIVEN, MISSED, WRONG
from fastladder.experiments.music.restoration import Restored, denoise, differences, error_rate, impute


class Silent:
    """Takes all for noise, and fills in nothing."""

    def denoise(self, x):
        return torch.zeros_like(x)

    def impute(self, x, missing, generator=None):
        return x.masked_fill(missing, 0)


@pytest.fixture(scope="module")
def tune():
    return made_up_tunes(5, 8).train.rolls[0]


def test_keys_are_switched_on_at_random(tune):
    result = denoise(Silent(), tune, torch.Generator().manual_seed(0))
    assert (result.damaged >= tune).all()
    assert 3 < error_rate([result], damaged=True) < 6
    assert error_rate([result]) == pytest.approx(100 * tune.mean().item(), rel=1e-5)
    again = denoise(Silent(), tune, torch.Generator().manual_seed(0))
    assert again.damaged.equal(result.damaged)


@pytest.mark.parametrize(("length", "gap"), [(64, (28, 36)), (20, (6, 14)), (9, (1, 8)), (2, (1, 1)), (1, (1, 1))])
def test_eight_steps_are_missing_in_the_middle(tune, length, gap):
    piece = tune[:length]
    result = impute(Silent(), piece, torch.Generator().manual_seed(0))
    assert (result.scored.start, result.scored.stop) == gap
    assert not result.damaged[result.scored].any()
    outside = torch.ones(length, dtype=torch.bool)
    outside[result.scored] = False
    assert result.damaged[outside].equal(piece[outside])


def test_error_rates_are_pooled_over_what_is_scored():
    clean = torch.zeros(4, KEYS)
    wrong = clean.clone()
    wrong[0, :44] = 1
    wrong[3] = 1
    pieces = [Restored(clean, clean, wrong, slice(0, 1)), Restored(clean, wrong, clean, slice(0, 3))]
    assert error_rate(pieces) == pytest.approx(100 * 44 / (4 * KEYS))
    assert error_rate(pieces, damaged=True) == pytest.approx(100 * 44 / (4 * KEYS))


def test_differences_are_marked():
    roll, clean = torch.tensor([[0.0, 1, 0, 1]]), torch.tensor([[0.0, 0, 1, 1]])
    assert differences(roll, clean).tolist() == [[0, WRONG, MISSED, GIVEN]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("vosp", "vrae"):
        options = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.limit_train_batches=2"]
        sizes = "--model.options={hidden_size: 8, latent_size: 2}"
        run = ["train", "--experiment=music", f"--run={folder / name}", f"--model.network={name}", sizes]
        assert main([*run, *options]) == 0
    return folder


def test_the_figure_of_two_runs(runs, tmp_path):
    output = tmp_path / "figure.png"
    both = [f"--vosp={runs / 'vosp'}", f"--vrae={runs / 'vrae'}"]
    assert main(["figure", "vrae-figure3", *both, "--piece=1", f"--output={output}"]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    stored = json.loads(output.with_suffix(".json").read_text())
    assert 4 < stored["vosp"]["damaged"] < 5.5
    assert set(stored["vrae"]) == {"damaged", "restored", "configuration"}
    assert main(["figure", "vrae-figure3", both[0], f"--output={output}"]) == 0
    assert set(json.loads(output.with_suffix(".json").read_text())) == {"environment", "vosp"}


def test_what_cannot_be_drawn_is_refused(runs, tmp_path, capsys):
    output = f"--output={tmp_path / 'figure.png'}"
    for options, words in (
        ([], "vosp, vrae: got neither, needs a run of one of them"),
        ([f"--vosp={runs / 'vrae'}"], "vrae is not of a VOSP"),
        ([f"--vrae={runs / 'vrae'}", "--piece=40"], "piece: got 40, needs 0 to 39"),
        ([f"--vrae={runs / 'absent'}"], "absent: no such run"),
    ):
        assert main(["figure", "vrae-figure3", *options, output]) == 2
        assert words in capsys.readouterr().err
    assert main(["sample", "music", f"--run={runs / 'vosp'}"]) == 2
    assert "is of a network that does not predict the next step" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
