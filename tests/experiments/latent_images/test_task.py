"""What a run records of its epochs: the bound on what it learns from, and the divergence of every unit."""

import math

import pytest
import torch

from fastladder.cli import main
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.latent_images.data import LatentImagesData
from fastladder.experiments.latent_images.metrics import UNITS, UnitDivergences, active_units
from fastladder.experiments.latent_images.task import LatentImagesTask, collect_statistics
from fastladder.experiments.saved import read_run
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED
from tests.experiments.interruption import interrupt_at
from tests.experiments.latent_images.conftest import TRAIN, train


class Layer:
    def __init__(self, units_kl):
        self.units_kl = self.z = torch.tensor(units_kl)


def test_the_divergence_of_a_unit_is_the_mean_over_all_images():
    divergences = UnitDivergences([2, 1])
    divergences.update([Layer([[9.0, 9.0]]), Layer([[9.0]])])
    divergences.reset()
    divergences.update([Layer([[0.03, 0.0], [0.0, 0.0]]), Layer([[0.5], [0.5]])])
    divergences.update([Layer([[0.012, 0.02]]), Layer([[0.5]])])
    means = divergences.compute()
    torch.testing.assert_close(means, torch.tensor([0.014, 0.02 / 3, 0.5]))
    assert active_units(means.split([2, 1])) == {"active": 2, "active_z1": 1, "active_z2": 1}


def test_the_divergences_are_those_of_the_validation(runs):
    """They add up to those of the layers that the history has, and can be measured anew from the network."""
    saved = read_run(runs / "ladder")
    record = saved.checkpoint[UNITS]
    assert record["epochs"] == [1, 2, 3]
    assert record["nats"].shape == (3, 6)
    for epoch, nats in zip(saved.history, record["nats"], strict=True):
        for name, units in zip(("valid/kl_1", "valid/kl_2"), nats.split([4, 2]), strict=True):
            assert epoch[name] == pytest.approx(units.sum().item(), rel=1e-5)
    task, data = saved.build()
    data.setup("fit")
    network, total = task.network.eval(), torch.zeros(6)
    for index, batch in enumerate(data.val_dataloader()):
        layers = network.encode(batch.image, generator=task.generator(VALID_SEED, index))
        total += torch.cat([layer.units_kl.sum(0) for layer in layers]).detach()
    torch.testing.assert_close(record["nats"][-1], total / len(data.test))


def test_a_batch_of_the_validation_is_inferred_once(tmp_path, monkeypatch):
    calls = []
    infer = LatentImagesTask.validation_step

    def counted(self, batch, index):
        with monkeypatch.context() as patch:
            original = type(self.network)._infer
            patch.setattr(type(self.network), "_infer", lambda *args: calls.append(index) or original(*args))
            infer(self, batch, index)

    monkeypatch.setattr(LatentImagesTask, "validation_step", counted)
    train(tmp_path, "--trainer.max_epochs=1")
    assert calls == [0, 1]


@pytest.mark.parametrize(("method", "call"), [("training_step", 4), ("validation_step", 4)])
def test_a_resumed_run_has_the_record_of_an_unbroken_one(method, call, runs, tmp_path, monkeypatch):
    """Interrupted in the middle of its second epoch, and of the validation after it."""
    with monkeypatch.context() as patch:
        interrupt_at(patch, method, call, LatentImagesTask)
        assert main([*TRAIN, "--model.warm_up=2", f"--run={tmp_path}"]) == 130
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)[UNITS]["epochs"] == [1]
    resumed = train(tmp_path, "--model.warm_up=2", "--resume")
    expected = read_run(runs / "ladder").checkpoint
    assert resumed[UNITS]["epochs"] == expected[UNITS]["epochs"]
    assert torch.equal(resumed[UNITS]["nats"], expected[UNITS]["nats"])
    for ours, theirs in zip(resumed[RECORD]["history"], expected[RECORD]["history"], strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_a_run_from_before_goes_on_without_its_first_epochs(tmp_path):
    options = [*TRAIN, f"--run={tmp_path}"]
    assert main([*options, "--minutes=1e-6"]) == 0
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del checkpoint[UNITS]
    torch.save(checkpoint, tmp_path / "last.ckpt")
    assert train(tmp_path, "--resume")[UNITS]["epochs"] == [2, 3]


@pytest.mark.parametrize(
    "options",
    [["--model.warm_up=10"], ["--model.warm_up=10", "--model.samples=2", "--model.importance=3"]],
    ids=["one sample", "importance samples"],
)
def test_the_bound_of_an_epoch_has_the_divergence_in_full(options, tmp_path, monkeypatch):
    """In the first epoch the cost has none of it."""
    bounds = []
    original = LatentImagesTask.training_step

    def recorded(self, batch, index):
        bound = self.network(batch.image, self.samples, self.importance, generator=self.generator(0, self.global_step))
        bounds.append(-bound.objective.item())
        return original(self, batch, index)

    monkeypatch.setattr(LatentImagesTask, "training_step", recorded)
    checkpoint = train(tmp_path, "--trainer.max_epochs=1", "--model.norm=none", *options)
    (epoch,) = checkpoint[RECORD]["history"]
    assert epoch["train/bound"] == pytest.approx(math.fsum(bounds) / 2, rel=1e-5)
    assert epoch["train/bound"] < -epoch["train/cost"] - 0.5


def test_statistics_are_of_all_images_together():
    """In evaluation the network does with them what it does in training with all of them in one batch."""
    torch.manual_seed(0)
    task = LatentImagesTask((8, 8), "hierarchical", latents=[4, 3, 2], hidden=[16, 8, 8])
    images = LatentImagesData().learned_images()
    collect_statistics(task.network, images)
    assert not task.network.training
    outputs = []
    for training in (False, True):
        torch.manual_seed(TEST_SEED)  # the samples of the latents that statistics are collected with
        outputs.append(task.network.train(training)(images))
    for evaluated, trained in zip(outputs[0].kl, outputs[1].kl, strict=True):
        # Running variances are unbiased, by 1 / 1438, and what is far out passes through several of them.
        torch.testing.assert_close(evaluated, trained, rtol=0.1, atol=1e-2)


def test_some_images_are_from_all_over_the_set():
    data = LatentImagesData(binary="no")
    every_third = data.splits.train.images[::3].float()
    torch.testing.assert_close(data.learned_images(500), every_third)


def test_a_checkpoint_has_the_statistics_that_its_validation_was_of(runs):
    task, data = read_run(runs / "ladder").build()
    before = {name: value.clone() for name, value in task.network.named_buffers()}
    images = data.learned_images()  # of the first epoch: by now the trainer has had three
    first = next(m for m in task.network.reader.modules() if isinstance(m, torch.nn.Linear))
    mean = before["reader.1.0.norm.running_mean"]
    torch.testing.assert_close(mean, first(images.flatten(1)).mean(0), rtol=0.2, atol=0.02)
