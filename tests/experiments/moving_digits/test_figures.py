import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from PIL import Image

from fastladder.cli import main
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.moving_digits.data import FOLLOWING
from fastladder.experiments.moving_digits.experiment import MOTION
from fastladder.experiments.moving_digits.figures import SHOWN, clips
from tests.experiments.moving_digits.configuration import CONFIGURATION

SEEN = CONFIGURATION["data"]["frames"]
WHOLE = {"seed": 0, **CONFIGURATION}


@pytest.fixture
def checkpoint(tmp_path):
    """Of a network with its initial weights."""
    record = {"experiment": MOTION.name, "configuration": WHOLE, "history": []}
    torch.save({"state_dict": MOTION.task(WHOLE).state_dict(), RECORD: record}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_clips_are_of_what_was_predicted_and_then_of_what_was_generated():
    task, data = MOTION.build(WHOLE)
    data.setup("test")
    batch = data.test[:6]
    shown = clips(task.network, batch, (0.0, 0.5, 1.0))
    scores = [clip.score for clip in shown]
    assert scores == sorted(scores, reverse=True)
    (index,) = [i for i in range(6) if np.array_equal(batch.frames[i].numpy(), shown[0].frames)]
    network, frames = task.network.eval(), batch.frames[:, :SEEN]
    with torch.no_grad():
        output = network.forward_sequence(frames, generator=torch.Generator().manual_seed(0))
    generated = network.generate(frames, FOLLOWING, generator=torch.Generator().manual_seed(0))
    assert shown[0].predictions.shape == (SEEN - 1 + FOLLOWING, 32, 32)
    np.testing.assert_array_equal(shown[0].masks[0], output.masks[0][index])
    np.testing.assert_array_equal(shown[0].masks[SEEN - 1 :], generated.masks[index])
    np.testing.assert_array_equal(shown[0].predictions[SEEN - 1 :], generated.frames[index])


def test_the_command_draws_animates_and_stores_what_it_drew(checkpoint, tmp_path):
    output = tmp_path / "figure.png"
    assert main(["figure", "rtagger-figure7", f"--checkpoint={checkpoint.parent}", f"--output={output}"]) == 0
    picture = imread(output)
    assert picture.shape[1] > 600
    assert picture[..., :3].std() > 0.05
    with Image.open(output.with_suffix(".gif")) as animation:
        assert animation.format == "GIF"
        assert animation.n_frames == SEEN + FOLLOWING - 1
        assert animation.info["duration"] == SHOWN
        assert animation.info["loop"] == 0
        assert np.asarray(animation.convert("RGB")).std() > 10
    stored = json.loads(output.with_suffix(".json").read_text())
    assert len(stored["scores"]) == 6
    assert stored["checkpoint_configuration"] == WHOLE


def test_another_network_is_refused(checkpoint, tmp_path, capsys):
    content = torch.load(checkpoint, weights_only=True)
    content[RECORD]["experiment"] = "shapes"
    torch.save(content, checkpoint)
    assert main(["figure", "rtagger-figure7", f"--checkpoint={checkpoint}", f"--output={tmp_path / 'x.png'}"]) == 2
    said = capsys.readouterr().err
    assert "is of the experiment shapes, needs one of moving_digits" in said
    assert said.count("\n") == 1
