"""What is learned from occluded moving digits, and how."""

import math

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from fastladder.experiments.configuration import configuration_of, make_parser, parse
from fastladder.experiments.occluded_moving_digits import MovingDigitsData, MovingDigitsTask, costs_and_scores
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.schedules import HalvingSchedule, ReplayedSchedule
from fastladder.experiments.training import make_trainer
from fastladder.nn.mean_teacher import consistency

WIDTHS = {"low": 2, "high": 2, "units": 2}


class Where:
    """As much of a trainer as the task looks at outside of a training."""

    def __init__(self, steps, step=0):
        self.estimated_stepping_batches, self.global_step, self.current_epoch = steps, step, 0
        self.gradient_clip_val = None


@pytest.fixture
def data():
    return MovingDigitsData(batch_size=10, labels=100, unlabelled=True)


@pytest.fixture
def make_task():
    def make(**options):
        torch.manual_seed(0)
        return MovingDigitsTask(widths=WIDTHS, learning_rate=0.05, **options)

    return make


@pytest.fixture
def batch(data):
    data.setup("fit")
    return next(iter(data.train_dataloader()))


def trainer_of(epochs, *callbacks, **options):
    return make_trainer(
        {"accelerator": "cpu", "max_epochs": epochs, "limit_train_batches": 4, "limit_val_batches": 1, **options},
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )


def test_the_learning_rate_falls_in_a_line_to_zero():
    task = MovingDigitsTask(widths=WIDTHS, learning_rate=0.5)
    task.trainer = Where(4)
    chosen = task.configure_optimizers()
    rates = []
    for _ in range(5):
        rates.append(chosen["optimizer"].param_groups[0]["lr"])
        chosen["optimizer"].step()
        chosen["lr_scheduler"]["scheduler"].step()
    assert rates == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_configurations_that_come_with_the_package(name):
    configuration = configuration_of(parse(make_parser("train", "", MOVING_DIGITS), [f"--config={name}"]))
    network, source, frame = {"demo": ("small", "bundled", 20), "paper": ("table5", "mnist", 32)}[name]
    assert (configuration["model"]["network"], configuration["data"]["source"]) == (network, source)
    task = MovingDigitsTask(**configuration["model"], frame_size=frame)
    assert task.network.input_shape == (1, frame, frame)


def test_the_same_seed_builds_the_same_network():
    configuration = configuration_of(parse(make_parser("train", "", MOVING_DIGITS), []))
    one, other = (nn.utils.parameters_to_vector(MOVING_DIGITS.build(configuration)[0].parameters()) for _ in range(2))
    assert torch.equal(one, other)
    third, _ = MOVING_DIGITS.build({**configuration, "seed": 1})
    assert not torch.equal(one, nn.utils.parameters_to_vector(third.parameters()))


def test_the_schedule_decides_the_callback(make_task):
    assert make_task().configure_callbacks() == []
    (halving,) = make_task(schedule="halving", least_learning_rate=0.01).configure_callbacks()
    assert isinstance(halving, HalvingSchedule)
    assert (halving.metric, halving.least) == ("valid/classification_error", 0.01)
    (halving,) = make_task(schedule="halving", classify=False).configure_callbacks()
    assert halving.metric == "valid/next_frame_error"
    (replayed,) = make_task(schedule=[0.1, 0.05]).configure_callbacks()
    assert isinstance(replayed, ReplayedSchedule)
    assert replayed.rates == [0.1, 0.05]


class Rates(Callback):
    """Records the learning rate of every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_a_list_is_the_rate_of_every_epoch(make_task, data):
    rates = Rates()
    trainer_of(3, rates, limit_train_batches=2).fit(make_task(schedule=[0.3, 0.1, 0.2]), data)
    assert rates.seen == [0.3, 0.3, 0.1, 0.1, 0.2, 0.2]


class Students(Callback):
    """Records the student and the count of the teacher's updates after every batch."""

    def __init__(self):
        self.weights, self.updates = [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.weights.append(nn.utils.parameters_to_vector(pl_module.network.parameters()).detach().clone())
        self.updates.append(pl_module.teacher.updates.item())


def test_the_teacher_moves_once_in_every_step_of_the_optimizer(make_task, data):
    task, students = make_task(teacher_decay=0.999), Students()
    trainer = trainer_of(2, students)
    trainer.fit(task, data)
    assert students.updates == [1, 2, 3, 4, 5, 6, 7, 8]
    assert trainer.global_step == task.teacher.updates == 8
    teacher = nn.utils.parameters_to_vector(task.teacher.parameters())
    torch.testing.assert_close(teacher, torch.stack(students.weights).mean(0))


def test_batches_without_a_step_leave_the_teacher(make_task, data):
    task, students = make_task(teacher_decay=0.999), Students()
    trainer_of(2, students, accumulate_grad_batches=2).fit(task, data)
    assert students.updates == [0, 1, 1, 2, 2, 3, 3, 4]


def test_the_optimizer_leaves_the_teacher_alone(make_task, batch):
    task = make_task(teacher_decay=0.999)
    task.trainer = Where(4)
    (group,) = task.configure_optimizers()["optimizer"].param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(p) for p in task.network.parameters()]
    task.log_dict = lambda *_, **__: None
    task.training_step(batch, 0).backward()
    assert all(parameter.grad is not None for parameter in task.network.parameters())
    assert all(parameter.grad is None for parameter in task.teacher.parameters())


def test_a_checkpoint_holds_the_teacher_and_a_resumed_run_is_the_same(make_task, data, tmp_path):
    path = tmp_path / "middle.ckpt"

    class Save(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(path)

    unbroken, resumed = make_task(teacher_decay=0.9), make_task(teacher_decay=0.9)
    trainer_of(2, Save()).fit(unbroken, data)
    state = torch.load(path, weights_only=True)["state_dict"]
    assert state["teacher.updates"] == 4
    assert {f"teacher.module.{name}" for name in unbroken.network.state_dict()} < set(state)

    trainer_of(2).fit(resumed, data, ckpt_path=path, weights_only=True)
    torch.testing.assert_close(resumed.state_dict(), unbroken.state_dict(), rtol=0, atol=0)
    assert resumed.teacher.updates == 8


def test_the_teacher_is_what_is_evaluated(make_task, data):
    task = make_task(teacher_decay=0.9)
    trainer_of(1).fit(task, data)
    assert task.evaluated is task.teacher.module

    def scores():
        (tested,) = trainer_of(1, limit_test_batches=1).test(task, data, verbose=False)
        (validated,) = trainer_of(1).validate(task, data, verbose=False)
        return tested | validated

    def spoil(network):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(generator=torch.Generator().manual_seed(0))

    before = scores()
    batch = data.test[:10]
    with torch.no_grad():
        logits, prediction = task.teacher.eval()(batch.observed).logits, task.teacher(batch.observed).prediction
    expected = costs_and_scores(logits, prediction, batch, 1.0)
    for name, value in expected.items():
        assert before[f"test/{name}"] == pytest.approx(value.item()), name
    spoil(task.network)
    assert scores() == before
    spoil(task.teacher.module)
    after = scores()
    assert after["test/cost"] != before["test/cost"]
    assert after["valid/cost"] != before["valid/cost"]


def test_without_a_teacher_the_network_is_evaluated(make_task):
    task = make_task()
    assert task.teacher is None
    assert task.evaluated is task.network
    assert all(name.startswith("network.") for name in task.state_dict())


@pytest.mark.parametrize(("step", "ramp"), [(0, math.exp(-5)), (5, math.exp(-1.25)), (10, 1.0), (33, 1.0)])
def test_the_consistency_is_ramped_up_over_a_quarter_of_the_run(step, ramp, make_task, batch):
    task = make_task(teacher_decay=0.9, consistency_weight=30.0, prediction_weight=0.1)
    with torch.no_grad():
        for parameter in task.teacher.module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    task.trainer = Where(40, step)
    logged = {}
    task.log_dict = lambda scores, **_: logged.update(scores)
    cost = task.training_step(batch, 0)

    output, of_teacher = task.network(batch.observed), task.teacher(batch.observed)
    disagreement = consistency(output.logits[:, -1], of_teacher.logits[:, -1])
    assert disagreement > 1e-3
    expected = costs_and_scores(output.logits, output.prediction, batch, 0.1)["cost"] + 30 * ramp * disagreement
    torch.testing.assert_close(cost, expected)
    torch.testing.assert_close(logged["train/consistency"], disagreement.detach())
    assert not of_teacher.logits.requires_grad


def test_unlabelled_sequences_teach_by_prediction_and_consistency(make_task, batch):
    """Where both weigh nothing, the cost is the same whatever the unlabelled sequences show."""
    other = batch._replace(observed=batch.observed.clone())
    other.observed[batch.label < 0] = 1 - other.observed[batch.label < 0]
    assert (batch.label < 0).any()
    costs = {}
    for name, options in {
        "neither": {"prediction_weight": 0.0, "consistency_weight": 0.0},
        "prediction": {"prediction_weight": 1.0, "consistency_weight": 0.0},
        "consistency": {"prediction_weight": 0.0, "consistency_weight": 100.0},
    }.items():
        task = make_task(teacher_decay=0.9, **options)
        with torch.no_grad():
            for parameter in task.teacher.module.parameters():
                parameter += 0.3
        task.eval()  # in training, batch normalisation lets all sequences of a batch see each other
        task.trainer = Where(4, 4)
        task.log_dict = lambda *_, **__: None
        costs[name] = [task.training_step(each, 0).item() for each in (batch, other)]
    assert costs["neither"][0] == pytest.approx(costs["neither"][1])
    for name in ("prediction", "consistency"):
        assert costs[name][0] != pytest.approx(costs[name][1], rel=1e-4)


def test_the_static_classifier_learns_from_reconstructions():
    data = MovingDigitsData(view="reconstruction", batch_size=10)
    widths = {"low": 2, "high": 2}
    task = MovingDigitsTask("small_static", widths, frames=data.frames, decoder=False, teacher_decay=0.9)
    trainer = trainer_of(1)
    trainer.fit(task, data)
    assert trainer.global_step == 4
    assert set(trainer.callback_metrics) == {
        *(
            f"{part}/{name}"
            for part in ("train", "valid")
            for name in ("cost", "cross_entropy", "classification_error")
        ),
        "train/consistency",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_decay": 0.9, "classify": False}, "teacher_decay: got 0.9, needs a network that classifies"),
        ({"teacher_decay": 1.0}, "decay: got 1.0, needs 0 to below 1"),
        ({"consistency_weight": -1.0}, "consistency_weight: got -1.0, needs 0 or more"),
        ({"consistency_weight": math.nan}, "consistency_weight: got nan, needs 0 or more"),
        ({"least_learning_rate": 0.0}, "least_learning_rate: got 0.0, needs a number above 0"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options, message, make_task):
    with pytest.raises(ValueError, match=message):
        make_task(**options)
