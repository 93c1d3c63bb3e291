"""Two processes that share a batch come to the weights of one that has all of it."""

import torch

from fastladder.experiments.occluded_moving_digits import MovingDigitsData, MovingDigitsTask
from fastladder.experiments.training import make_trainer
from fastladder.models import RLadder
from fastladder.models.rladder import G1, LSTM, AvgPool, ConvG3, ConvLSTM, Dense, Level
from fastladder.nn import synchronize_batch_norm


class OneStep(MovingDigitsTask):
    """One step of plain gradient descent, whose result is the gradient.

    Batch normalisation would take its statistics over the part of the batch that a process has, so that the two would
    not be the same function. Here the processes share them.
    """

    LEVELS = (
        Level(ConvLSTM(4, 3), ConvG3(3)),
        Level(AvgPool(4), ConvG3(6)),
        Level(LSTM(5), G1(norm="layer")),
        Level(Dense(10)),
    )

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = synchronize_batch_norm(RLadder(self.LEVELS, (1, 20, 20), steps=5))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def train_one_step(folder, **options):
    task = OneStep()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    options = {"accelerator": "cpu", "max_steps": 1, "limit_val_batches": 0, **options}
    make_trainer(options, logger=False, enable_checkpointing=False, default_root_dir=folder).fit(
        task, MovingDigitsData(batch_size=8)
    )
    return {name: value - before[name] for name, value in task.state_dict().items()}


def test_two_processes_get_the_gradients_of_one(tmp_path):
    alone = train_one_step(tmp_path, devices=1)
    shared = train_one_step(tmp_path, devices=2, strategy="ddp_spawn")
    assert alone.keys() == shared.keys()
    for name, step in alone.items():
        torch.testing.assert_close(
            shared[name], step, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert all(step.abs().max() > 0 for name, step in alone.items() if name.endswith("weight"))
