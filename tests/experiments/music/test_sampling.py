"""`fastladder sample music` writes a piece that goes on from another, the same for the same seed."""

import wave

import pytest
import torch

from fastladder.cli import main
from fastladder.data import KEYS, read_midi, write_midi
from fastladder.experiments.music.networks import NextStep
from fastladder.experiments.music.sampling import sample


class Repeater(NextStep):
    """Predicts the step before, moved up by as many keys as there were steps before it."""

    def forward(self, before, state=None):
        moved, logits = state or 0, []
        for step in before.unbind(1):
            moved += 1
            logits.append((step.roll(moved, 1) - 0.5) * 200)
        return torch.stack(logits, 1), moved


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    options = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--model.hidden_size=8"]
    assert main(["train", "--experiment=music", f"--run={folder}", *options]) == 0
    return folder


def one_note(steps, key):
    roll = torch.zeros(steps, KEYS)
    roll[:, key] = 1
    return roll


def test_each_step_is_drawn_from_what_came_before():
    drawn = sample(Repeater(), one_note(2, 10), 3)
    # Silence and two steps were given, so that the first step drawn is moved by 3, the next by 4 more, and so on.
    assert drawn.argmax(1).tolist() == [13, 17, 22]
    assert drawn.sum().item() == 3
    assert not sample(Repeater(), torch.zeros(0, KEYS), 4).any()


def test_draws_are_of_the_predicted_probability_and_the_temperature():
    class Even(NextStep):
        def forward(self, before, state=None):
            return torch.full_like(before, 1.0), None

    generator = torch.Generator().manual_seed(0)
    for temperature in (0.5, 1.0, 2.0):
        drawn = sample(Even(), torch.zeros(0, KEYS), 200, temperature=temperature, generator=generator)
        expected = torch.sigmoid(torch.tensor(1 / temperature)).item()
        assert abs(drawn.mean().item() - expected) < 4 * (0.25 / drawn.numel()) ** 0.5


def test_the_network_is_left_in_the_mode_it_was_in():
    network = Repeater().train()
    sample(network, torch.zeros(0, KEYS), 1)
    assert network.training


def test_the_command_writes_midi_sound_and_a_picture(run, tmp_path, capsys):
    given = one_note(6, 40)
    write_midi(tmp_path / "given.mid", given)
    outputs = [tmp_path / name for name in "abc"]
    for folder, seed in zip(outputs, (0, 0, 1), strict=True):
        options = [f"--run={run}", f"--midi={tmp_path / 'given.mid'}", "--steps=40", f"--seed={seed}"]
        assert main(["sample", "music", *options, f"--output={folder}"]) == 0
    assert "6 time steps given, 40 drawn: sample.mid, sample.wav and sample.png in" in capsys.readouterr().out
    pieces = [read_midi(folder / "sample.mid") for folder in outputs]
    assert pieces[0][:6].equal(given)
    assert 6 < len(pieces[0]) <= 46
    assert pieces[0].equal(pieces[1])
    assert not torch.equal(pieces[0], pieces[2])
    with wave.open(str(outputs[0] / "sample.wav")) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(46 * 0.3, abs=0.2)
    assert (outputs[0] / "sample.png").read_bytes().startswith(b"\x89PNG")


def test_a_piece_can_begin_from_nothing(run, tmp_path, capsys):
    assert main(["sample", "music", f"--run={run}", "--steps=8", "--frame=quarter", f"--output={tmp_path}"]) == 0
    assert "8 time steps drawn" in capsys.readouterr().out
    with wave.open(str(tmp_path / "sample.wav")) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(8 * 0.6, abs=0.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps=0"], "steps: got 0, needs 1 or more"),
        (["--temperature=0"], "temperature: got 0.0, needs a number above 0"),
        (["--frame=half"], "frame: got 'half', needs one of quarter, eighth, sixteenth"),
        (["--midi=absent.mid"], "absent.mid: no such file"),
    ],
)
def test_what_cannot_be_used_is_refused(run, tmp_path, capsys, options, words):
    assert main(["sample", "music", f"--run={run}", *options, f"--output={tmp_path / 'out'}"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_broken_midi_file_and_a_run_of_something_else_are_refused(run, tmp_path, capsys):
    (tmp_path / "broken.mid").write_bytes(b"MThd and no more")
    assert main(["sample", "music", f"--run={run}", f"--midi={tmp_path / 'broken.mid'}"]) == 2
    assert "broken.mid: not a sound MIDI file" in capsys.readouterr().err
    assert main(["sample", "music", f"--run={tmp_path}"]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err
    assert main(["sample"]) == 2
    assert "sample: got '', needs one of music" in capsys.readouterr().err
