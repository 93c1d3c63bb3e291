"""Tables 1 and 2 as they come with the package."""

import re

import pytest
import torch

from fastladder.data import Digits, Splits
from fastladder.experiments.occluded_moving_digits import data as occluded_data
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.registry import TABLES, find_table


@pytest.fixture(scope="module")
def _noise_for_mnist():
    """Digits of noise, of every class the same number, for each part of MNIST."""
    generator = torch.Generator().manual_seed(0)
    parts = [torch.rand(count, 28, 28, generator=generator) for count in (6000, 100, 100)]
    splits = Splits(*(Digits(part, torch.arange(len(part)) % 10, "noise") for part in parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occluded_data, "mnist_splits", lambda folder, *, download: splits)
        yield


SHIPPED = [name for name in TABLES if name.startswith("rladder-table")]
# What a row's name promises: frames of a sequence, decoder and its feedback, prediction, classification.
PROMISES = {
    "static": (1, False, False, False, True),
    "temporal": (None, False, False, False, True),
    "hierarchical": (None, False, False, False, True),
    "no-prediction": (None, True, True, False, True),
    "no-feedback": (None, True, False, True, True),
    "no-classification": (None, True, True, True, False),
    "rladder": (None, True, True, True, True),
}
NETWORKS = {
    "paper": {"static": "table7", "temporal": "table6", "rladder": "table5"},
    "medium": {"static": "medium_static", "temporal": "medium_temporal", "rladder": "medium"},
    "small": {"static": "small_static", "temporal": "small_temporal", "rladder": "small"},
}


@pytest.mark.parametrize("scale", NETWORKS)
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.usefixtures("_noise_for_mnist")
def test_every_row_builds_the_network_it_promises(name, scale):
    table = find_table(name)
    for row in table.rows:
        configuration = table.configuration(row, scale, 0)
        task, data = MOVING_DIGITS.build(configuration)
        system = re.sub("-(teacher|unlabelled)$", "", row.name)
        frames, *promised = PROMISES[system]
        network = task.network
        assert data.frames == (frames or data.config.frames), row.name
        assert [len(network.decoder) > 0, network.feedback, network.predict, network.classify] == promised, row.name
        assert configuration["model"]["network"] == NETWORKS[scale].get(system, NETWORKS[scale]["rladder"]), row.name
        assert (task.teacher is not None) == row.name.endswith("-teacher"), row.name
        assert data.unlabelled == row.name.endswith(("-teacher", "-unlabelled")), row.name
        labels = {"rladder-table1": {"medium": 5000}, "rladder-table2": {"paper": 1000, "medium": 1000, "small": 100}}
        assert configuration["data"].get("labels") == labels[name].get(scale), row.name


@pytest.mark.parametrize("scale", NETWORKS)
@pytest.mark.usefixtures("_noise_for_mnist")
def test_the_hash_of_the_data_tells_data_apart_and_nothing_else(scale):
    def hashes(name, row, seed=0, **data):
        table = find_table(name)
        configuration = table.configuration(table.row(row), scale, seed)
        _, sequences = MOVING_DIGITS.build({**configuration, "data": {**configuration["data"], **data}})
        sequences.setup("test")
        return sequences.fingerprints()

    first = hashes("rladder-table1", "rladder")
    assert hashes("rladder-table1", "rladder") == first
    assert hashes("rladder-table1", "hierarchical") == first
    others = {
        "another seed": hashes("rladder-table1", "rladder", seed=1),
        "few labels": hashes("rladder-table2", "rladder"),
        "with validation set": hashes("rladder-table1", "rladder", join_validation=True),
    }
    for what, other in others.items():
        assert other["train"] != first["train"], what
        assert (other["valid"], other["test"]) == (first["valid"], first["test"]), what
