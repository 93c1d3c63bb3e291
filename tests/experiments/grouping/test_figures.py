import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from fastladder.cli import main
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.grouping.figures import COLOURS, examples, removal, tint
from fastladder.experiments.shapes.experiment import SHAPES
from fastladder.experiments.textured_digits.experiment import TEXTURED_GROUPING
from tests.experiments.shapes.configuration import on_shapes

CONFIGURATION = {"seed": 0, **on_shapes((100, 2, 30), {"widths": [12, 8, 6]}, max_epochs=1)}
TEXTURES = {
    **CONFIGURATION,
    "data": {"dataset": "textures2", "source": "bundled", "sizes": [100, 2, 30]},
    "model": {"widths": [12, 8, 6], "likelihood": "gaussian", "initial_mean": 0.5},
}


@pytest.fixture
def checkpoint(tmp_path):
    def save(experiment, configuration):
        task, _ = experiment.build(configuration)
        path = tmp_path / "last.ckpt"
        record = {"experiment": experiment.name, "configuration": configuration, "history": []}
        torch.save({"state_dict": task.state_dict(), RECORD: record}, path)
        return path

    return save


def test_groups_have_their_colours_and_faint_pixels_are_white():
    masks = np.zeros((3, 1, 4))
    masks[0, 0, 0] = masks[1, 0, 1] = masks[2, 0, 2] = masks[0, 0, 3] = 1
    picture = tint(masks, np.array([[1.0, 1.0, 1.0, 0.0]]))
    assert np.allclose(picture[0, :3], COLOURS[:3])
    assert np.allclose(picture[0, 3], 1)


def test_examples_come_in_the_order_of_their_ranks():
    task, data = SHAPES.build(CONFIGURATION)
    shown = examples(task.network, data.splits.test, "x", (0.0, 0.5, 1.0), groups=2)
    scores = [example.score for example in shown]
    assert scores == sorted(scores, reverse=True)
    assert shown[0].masks.shape == (5, 2, 20, 20)
    assert np.allclose(shown[0].masks.sum(1), 1, atol=1e-5)
    assert any(np.array_equal(shown[0].image, image) for image in data.splits.test.images.numpy())


def test_removal_takes_away_the_group_of_an_object_in_the_last_iteration():
    task, data = TEXTURED_GROUPING.build(TEXTURES)
    whole, without = removal(task.network, data.splits.test, group=3)
    assert np.array_equal(whole.image, without.image)
    assert np.array_equal(whole.masks[:-1], without.masks[:-1])
    (removed,) = np.flatnonzero((without.masks[-1] == 0).all((1, 2)))
    upper = data.splits.test.groups[(data.splits.test.images == torch.from_numpy(whole.image)).all((1, 2))][0] == 3
    assert (whole.masks[-1] * upper.numpy()).sum((1, 2)).argmax() == removed
    assert np.allclose(without.masks[-1].sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "experiment", "configuration"),
    [("tagger-figure4", SHAPES, CONFIGURATION), ("tagger-figure5", TEXTURED_GROUPING, TEXTURES)],
    ids=["shapes", "textured digits"],
)
def test_the_commands_draw_and_store_what_they_drew(checkpoint, tmp_path, name, experiment, configuration):
    output = tmp_path / "figure.png"
    assert (
        main(["figure", name, f"--checkpoint={checkpoint(experiment, configuration).parent}", f"--output={output}"])
        == 0
    )
    picture = imread(output)
    assert picture.shape[0] > 800
    assert picture.shape[1] > 1200
    assert picture[..., :3].std() > 0.05
    stored = json.loads(output.with_suffix(".json").read_text())
    assert len(stored["scores"]) == 10
    assert stored["checkpoint_configuration"] == configuration


def test_another_network_is_refused(tmp_path, capsys):
    path = tmp_path / "last.ckpt"
    record = {"experiment": TEXTURED_GROUPING.name, "configuration": {"data": {"dataset": "textures2"}}, "history": []}
    torch.save({"state_dict": {}, RECORD: record}, path)
    assert main(["figure", "tagger-figure4", f"--checkpoint={path}"]) == 2
    assert "is of the experiment textured_digits_grouping, needs one of shapes" in capsys.readouterr().err
