import pytest
import torch
from torch import nn

from fastladder.data import Sequence
from fastladder.experiments.configuration import build, configuration_of, make_parser, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.occluded_moving_digits import MovingDigitsData, MovingDigitsTask, costs_and_scores


class Where:
    """As much of a trainer as the data looks at."""

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")

    def __init__(self, epoch=0, rank=0, processes=1):
        self.current_epoch, self.global_rank, self.world_size = epoch, rank, processes


def data_at(epoch=0, rank=0, processes=1, **options):
    data = MovingDigitsData(**options)
    data.trainer = Where(epoch, rank, processes)
    data.setup("fit")
    return data


def test_scores_against_loops():
    generator = torch.Generator().manual_seed(0)
    observed = torch.rand(3, 4, 1, 2, 2, generator=generator)
    prediction = torch.rand(3, 4, 1, 2, 2, generator=generator)
    logits = torch.randn(3, 4, 10, generator=generator)
    label = logits[:, -1].argmax(1)
    label[0] = (label[0] + 1) % 10
    batch = Sequence(observed, torch.full_like(observed, torch.nan), label, torch.zeros(3, 4, 2))
    scores = costs_and_scores(logits, prediction, batch, 0.5)

    squares = {"next_frame_error": 0.0, "predict_zero": 0.0, "copy_last": 0.0}
    for n in range(3):
        for t in range(1, 4):
            target = observed[n, t]
            guesses = (prediction[n, t - 1], torch.zeros_like(target), observed[n, t - 1])
            for name, guess in zip(squares, guesses, strict=True):
                squares[name] += ((guess - target) ** 2).sum().item()
    entropy = -sum(logits[n, -1].log_softmax(0)[label[n]].item() for n in range(3)) / 3
    for name, value in squares.items():
        assert scores[name].item() == pytest.approx(value / (3 * 3 * 4), rel=1e-5), name
    assert scores["cross_entropy"].item() == pytest.approx(entropy, rel=1e-5)
    assert scores["classification_error"].item() == pytest.approx(100 / 3)
    # The mean over sequences and frames of the sum over pixels.
    assert scores["cost"].item() == pytest.approx(entropy + 0.5 * squares["next_frame_error"] / (3 * 3), rel=1e-5)


@pytest.mark.parametrize(("task", "absent"), [("logits", "classification_error"), ("prediction", "next_frame_error")])
def test_a_task_that_is_off_costs_nothing(task, absent):
    given = {"logits": torch.zeros(2, 3, 10), "prediction": torch.ones(2, 3, 1, 4, 4), task: None}
    batch = Sequence(torch.zeros(2, 3, 1, 4, 4), torch.zeros(()), torch.tensor([1, 2]), torch.zeros(()))
    scores = costs_and_scores(**given, batch=batch, prediction_weight=1.0)
    assert absent not in scores
    kept = scores["cross_entropy"] if task == "prediction" else 16 * scores["next_frame_error"]
    assert scores["cost"] == kept


def test_training_epochs_are_new_and_repeatable():
    def epoch(number, **options):
        return [batch.position for batch in data_at(number, **options).train_dataloader()]

    first, again, second = epoch(0), epoch(0), epoch(1)
    assert [len(batch) for batch in first] == 12 * [100]
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert not torch.equal(torch.cat(first), torch.cat(epoch(0, seed=1)))


def test_an_epoch_shows_every_digit_as_often_as_asked():
    data = data_at(batch_size=1, sequences_per_digit=2)
    order = torch.cat([index for index in data.train_dataloader().sampler])
    assert torch.equal(order.sort().values, torch.arange(2 * 1258))
    assert torch.equal(data.train.images[:1258], data.train.images[1258:])
    assert not torch.equal(data.train.positions[:1258], data.train.positions[1258:])


def test_validation_and_test_do_not_depend_on_seed_or_epoch():
    one, other = data_at(0, seed=0), data_at(3, seed=5)
    for name in ("valid", "test"):
        assert torch.equal(getattr(one, name).positions, getattr(other, name).positions)
    assert sum(len(batch.label) for batch in one.val_dataloader()) == len(one.digits.valid)
    assert sum(len(batch.label) for batch in one.test_dataloader()) == len(one.digits.test)
    assert not torch.equal(one.valid.positions[:100], one.test.positions[:100])


def test_processes_share_every_batch():
    alone = list(data_at(batch_size=10).train_dataloader())
    parts = [list(data_at(rank=rank, processes=2, batch_size=10).train_dataloader()) for rank in range(2)]
    for whole, *halves in zip(alone, *parts, strict=True):
        assert [len(half.label) for half in halves] == [5, 5]
        together = torch.stack([half.observed for half in halves], 1).flatten(0, 1)
        assert torch.equal(together, whole.observed)


def test_a_batch_that_processes_cannot_share_evenly():
    with pytest.raises(RunError, match="batch_size: got 10, needs a multiple of the 3 processes"):
        data_at(processes=3, batch_size=10)


def test_the_learning_rate_falls_in_a_line_to_zero():
    task = MovingDigitsTask(widths={"low": 2, "high": 2, "units": 2}, learning_rate=0.5)
    task.trainer = Where()
    task.trainer.estimated_stepping_batches = 4
    chosen = task.configure_optimizers()
    rates = []
    for _ in range(5):
        rates.append(chosen["optimizer"].param_groups[0]["lr"])
        chosen["optimizer"].step()
        chosen["lr_scheduler"]["scheduler"].step()
    assert rates == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_configurations_that_come_with_the_package(name):
    configuration = configuration_of(parse(make_parser("train", ""), [f"--config={name}"]))
    network, source, frame = {"demo": ("small", "bundled", 20), "paper": ("table5", "mnist", 32)}[name]
    assert (configuration["model"]["network"], configuration["data"]["source"]) == (network, source)
    task = MovingDigitsTask(**configuration["model"], frame_size=frame)
    assert task.network.input_shape == (1, frame, frame)


def test_the_same_seed_builds_the_same_network():
    configuration = configuration_of(parse(make_parser("train", ""), []))
    one, other = (nn.utils.parameters_to_vector(build(configuration)[0].parameters()) for _ in range(2))
    assert torch.equal(one, other)
    third, _ = build({**configuration, "seed": 1})
    assert not torch.equal(one, nn.utils.parameters_to_vector(third.parameters()))
