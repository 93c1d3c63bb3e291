"""The table of RTagger through `fastladder reproduce`, in miniature."""

from dataclasses import replace

import pytest

from fastladder.experiments.errors import RunError
from fastladder.experiments.registry import TABLES, Place
from fastladder.experiments.shapes.experiment import SHAPES
from fastladder.experiments.shapes.tables import RTAGGER
from fastladder.experiments.tables import Scale
from fastladder.models import RTagger
from tests.experiments.command import Command, evaluate_and_load
from tests.experiments.shapes.configuration import on_shapes

MODEL = {"network": "rtagger", "low": 3, "high": 4, "units": 5, "learning_rate": 1e-2}
CONFIGURATION = on_shapes((20, 5, 8), MODEL, max_epochs=2, accelerator="cpu")
CONFIGURATION["data"]["batch_size"] = 5
TINY = replace(
    RTAGGER,
    name="tiny-rtagger",
    scales={"small": Scale("Hardly anything.", CONFIGURATION, RTAGGER.scales["small"].rows)},
    rows=tuple(replace(row, run=row.run and ("tiny-rtagger", "rtagger")) for row in RTAGGER.rows),
)


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-rtagger", Place(__name__, "TINY"))
        command = Command(tmp_path_factory.mktemp("rtagger"), "tiny-rtagger")
        assert command() == 0
        yield command


def test_every_row_has_the_scores_of_every_iteration(command):
    for row in TINY.rows:
        scores = command.result(row.name)["test"]
        expected = {f"{kind}_{iteration}" for kind in ("cost", "ami") for iteration in range(1, 6)}
        assert scores.keys() == expected | {"untrained_ami"}


def test_other_groups_and_objects_are_of_the_same_run(command):
    runs = sorted(path.parent.name for path in command.folder.glob("runs/**/last.ckpt"))
    assert runs == ["local-0", "rtagger-0"]
    tests = {row.name: command.result(row.name) for row in TINY.rows}
    assert tests["a"]["configuration"]["test"]["groups"] == 2
    assert len({tests[name]["data"]["test"] for name in ("rtagger", "b", "c")}) == 3  # 3, 4 and 2 objects


def test_a_run_is_loaded_as_the_network_that_it_trained(command):
    for name, rows in (("rtagger", 7), ("local", 5)):
        _, network = evaluate_and_load(command.folder / f"runs/tiny-rtagger/small/{name}-0")
        assert isinstance(network, RTagger)
        encoder = network.tag.mapping.ladder.encoder
        assert len(encoder) == rows


def test_a_network_that_is_none_is_named():
    with pytest.raises(RunError, match="network: got 'rladder', needs one of tagger, rtagger"):
        SHAPES.build({"seed": 0, **CONFIGURATION, "model": {**MODEL, "network": "rladder"}})
