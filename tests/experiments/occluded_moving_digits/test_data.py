"""The batches of occluded moving digits: which digits, which labels, in which order."""

import pytest
import torch

from fastladder.data import UNLABELLED, optimal_reconstruction
from fastladder.experiments.errors import RunError
from fastladder.experiments.occluded_moving_digits import MovingDigitsData
from fastladder.experiments.occluded_moving_digits.data import draw


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


def epoch_of(data):
    """The batches of an epoch, and the indices of their digits, both as (steps, sequences in a batch, ...)."""
    loader = data.train_dataloader()
    labels, positions = zip(*((batch.label, batch.position) for batch in loader), strict=True)
    return torch.stack(labels), torch.stack(positions), torch.stack(list(loader.sampler))


@pytest.mark.parametrize("join_validation", [False, True])
@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize("sequences_per_digit", [1, 2])
def test_no_hidden_label_reaches_a_batch(unlabelled, join_validation, sequences_per_digit):
    options = {"unlabelled": unlabelled, "join_validation": join_validation, "sequences_per_digit": sequences_per_digit}
    data = data_at(labels=100, batch_size=20, **options)
    classes = data.digits.train.labels
    known = {}
    for epoch in range(2):
        data.trainer.current_epoch = epoch
        labels, _, indices = epoch_of(data)
        assert torch.equal(labels == UNLABELLED, ~data.labelled[indices])
        seen = labels != UNLABELLED
        assert torch.equal(labels[seen], classes[indices[seen]])
        digits = indices[seen] % (len(classes) // sequences_per_digit)
        known.update(zip(digits.tolist(), labels[seen].tolist(), strict=True))
    assert torch.tensor(list(known.values())).bincount().tolist() == 10 * [10]
    assert max(known) < 1258  # the digits to learn from; those to validate come after


def test_half_of_every_batch_has_labels():
    data = data_at(labels=100, unlabelled=True, batch_size=20)
    labels, _, indices = epoch_of(data)
    assert labels.shape == (1258 // 10, 20)
    assert (labels[:, :10] != UNLABELLED).all()
    # The other half goes once over all digits, but for the rest that fills no batch.
    assert len(indices[:, 10:].unique()) == 1250
    assert (labels[:, 10:] == UNLABELLED).sum() > 1250 - 100 - 1
    often = indices[:, :10].flatten().bincount(minlength=1258)[data.labelled]
    assert often.sum() == 1250
    assert set(often.tolist()) == {12, 13}


@pytest.mark.parametrize("options", [{}, {"join_validation": True}, {"sequences_per_digit": 2}], ids=str)
def test_epochs_of_digits_with_labels_are_as_long_as_full_ones(options):
    full, few = (data_at(batch_size=20, labels=labels, **options) for labels in (None, 100))
    labels, _, indices = epoch_of(few)
    assert len(labels) == len(full.train_dataloader()) == len(full.train) // 20
    assert (labels != UNLABELLED).all()
    often = indices.flatten().bincount(minlength=len(few.train))[few.labelled]
    assert len(often) == 100 * options.get("sequences_per_digit", 1)
    assert often.max() - often.min() <= 1


def test_validation_digits_join_without_their_labels():
    alone, joined = (data_at(labels=100, join_validation=join) for join in (False, True))
    assert torch.equal(joined.labelled[:1258], alone.labelled)
    assert not joined.labelled[1258:].any()
    assert joined.digits.train.fingerprint() == alone.digits.train.joined(alone.digits.valid).fingerprint()
    for name in ("valid", "test"):
        assert getattr(joined, name).fingerprint() == getattr(alone, name).fingerprint()


def test_validation_digits_join_with_their_labels_where_all_are_known():
    alone, joined = data_at(), data_at(join_validation=True, sequences_per_digit=2)
    assert torch.equal(joined.train.labels, torch.cat([alone.train.labels, alone.valid.labels]).repeat(2))


def test_labels_depend_on_the_seed():
    first, again, other = (data_at(labels=100, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.labelled, again.labelled)
    assert not torch.equal(first.labelled, other.labelled)
    assert first.fingerprints() == again.fingerprints()


def test_the_fingerprint_tells_which_labels_are_known():
    everything, few, more = (data_at(labels=labels).fingerprints() for labels in (None, 100, 200))
    assert len({part["train"] for part in (everything, few, more)}) == 3
    assert everything["valid"] == few["valid"]
    assert everything["test"] == few["test"]


def test_validation_and_test_have_all_labels():
    data = data_at(labels=10)
    for loader in (data.val_dataloader(), data.test_dataloader()):
        assert all((batch.label >= 0).all() for batch in loader)


def test_fixed_sequences_come_in_a_new_order():
    data = data_at(resample=False, batch_size=1)
    epochs = []
    for epoch in (0, 1, 7):
        data.trainer.current_epoch = epoch
        _, positions, indices = epoch_of(data)
        epochs.append((indices[:, 0], positions[:, 0]))
    in_place = [positions[indices.argsort()] for indices, positions in epochs]
    assert torch.equal(in_place[0], in_place[1])
    assert torch.equal(in_place[0], in_place[2])
    orders = [indices for indices, _ in epochs]
    assert all(torch.equal(order.sort().values, torch.arange(1258)) for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])


def test_fixed_sequences_are_those_of_the_first_epoch_of_others():
    fixed, changing = data_at(5, resample=False), data_at(0)
    fixed.train_dataloader()
    changing.train_dataloader()
    assert torch.equal(fixed.train.positions, changing.train.positions)


def test_the_view_of_a_reconstruction_is_one_frame():
    frames, known = (data_at(view=view, labels=100, batch_size=20) for view in ("frames", "reconstruction"))
    assert (frames.frames, known.frames) == (5, 1)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        sequence, reconstruction = (next(iter(getattr(data, name)())) for data in (frames, known))
        assert reconstruction.observed.shape == (20, 1, 1, 20, 20)
        assert torch.equal(reconstruction.label, sequence.label)
        assert torch.equal(reconstruction.position, sequence.position)
    first = known.test[:20]
    expected = optimal_reconstruction(known.digits.test.images[:20], first.position, known.config)
    assert torch.equal(first.observed[:, 0], expected)


def test_every_process_has_labels_in_half_of_its_part():
    options = {"labels": 100, "unlabelled": True, "batch_size": 12}
    alone, *parts = (
        epoch_of(data_at(rank=rank, processes=n, **options)) for rank, n in ((0, 1), (0, 3), (1, 3), (2, 3))
    )
    for labels, _, _ in parts:
        assert labels.shape == (1258 // 6, 4)
        assert (labels[:, :2] != UNLABELLED).all()
    together = torch.stack([indices for _, _, indices in parts], 2).flatten(1)
    assert torch.equal(together, alone[2])


def test_a_half_that_processes_cannot_share_evenly():
    with pytest.raises(RunError, match="batch_size: got 6, needs a multiple of twice the 2 processes"):
        data_at(processes=2, batch_size=6, labels=100, unlabelled=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabelled": True}, "unlabelled: got True, needs a number of labels"),
        ({"unlabelled": True, "labels": 10, "batch_size": 5}, "batch_size: got 5, needs an even number"),
        ({"labels": 15}, "labels: got 15, a balanced draw needs a multiple of the 10 classes"),
        ({"labels": 0}, "labels: got 0, a balanced draw needs a multiple"),
        ({"labels": 1250}, "labels: got 1250, needs 125 digits of every class, but there are 122 digits of class 8"),
        ({"batch_size": 1259}, "batch_size: got 1259, needs 1258, the training set, or less"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MovingDigitsData(**options)


@pytest.mark.parametrize("count", [1, 4, 7, 12])
def test_a_draw_goes_pass_by_pass(count):
    indices = torch.tensor([2, 3, 5, 7])
    drawn = draw(indices, count, torch.Generator().manual_seed(0))
    assert drawn.shape == (count,)
    for start in range(0, count, 4):
        part = drawn[start : start + 4].tolist()
        assert len(set(part)) == len(part)
        assert set(part) <= {2, 3, 5, 7}
