import pytest
import torch

from fastladder.experiments.textured_digits.data import labelled_digits

SIZES = (400, 7, 6)


class Where:
    """As much of a trainer as the data looks at."""

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")

    def __init__(self, epoch=0, rank=0, processes=1):
        self.current_epoch, self.global_rank, self.world_size = epoch, rank, processes


def data_at(epoch=0, rank=0, processes=1, **options):
    data = labelled_digits(**({"source": "bundled", "sizes": SIZES, "batch_size": 40} | options))
    data.trainer = Where(epoch, rank, processes)
    data.setup("fit")
    return data


def rows(images):
    """Each image as text, to count them by."""
    return [image.numpy().tobytes() for image in images]


def test_with_all_labels_an_epoch_shows_every_image_once_and_none_without():
    data = data_at(batch_size=30)
    batches = list(data.train_dataloader())
    assert [len(batch.image) for batch in batches] == [30] * 13
    assert all(batch.unlabelled is None and batch.denoised is batch.image for batch in batches)
    known = dict(zip(rows(data.splits.train.images), data.splits.train.labels.tolist(), strict=True))
    seen = {row: label for batch in batches for row, label in zip(rows(batch.image), batch.label.tolist(), strict=True)}
    assert len(seen) == 390
    assert all(known[row] == label for row, label in seen.items())


@pytest.mark.parametrize("dataset", ["textures1", "textures2"])
def test_few_labels_are_balanced_by_the_first_digit(dataset):
    data = data_at(dataset=dataset, labels=20)
    first = data.splits.train.labels[:, 0]
    assert torch.equal(first[data.labelled].bincount(minlength=10), torch.full((10,), 2))
    chosen = set(rows(data.splits.train.images[data.labelled]))
    batches = list(data.train_dataloader())
    assert len(batches) == 10  # as long as an epoch of all images
    assert {row for batch in batches for row in rows(batch.image)} == chosen
    assert all(batch.unlabelled is None for batch in batches)


def test_unlabelled_images_are_all_images():
    data = data_at(labels=20, unlabelled=True)
    batches = list(data.train_dataloader())
    assert all(batch.image.shape == batch.unlabelled.shape == (40, 20, 20) for batch in batches)
    assert all(batch.denoised is batch.unlabelled for batch in batches)
    shown = [row for batch in batches for row in rows(batch.unlabelled)]
    assert sorted(shown) == sorted(rows(data.splits.train.images))


def test_batches_depend_on_seed_and_epoch_alone():
    def epoch(number, **options):
        loader = data_at(number, labels=20, unlabelled=True, **options).train_dataloader()
        return torch.stack([torch.stack([batch.image, batch.unlabelled]) for batch in loader])

    first = epoch(0)
    assert torch.equal(first, epoch(0))
    assert not torch.equal(first[:, 1], epoch(1)[:, 1])
    assert not torch.equal(first[:, 0], epoch(0, seed=1)[:, 0])


def test_processes_share_every_batch():
    options = {"labels": 20, "unlabelled": True}
    (alone, *_), *parts = (
        list(data_at(rank=r, processes=p, **options).train_dataloader()) for r, p in ((0, 1), (0, 2), (1, 2))
    )
    for field in ("image", "label", "unlabelled"):
        shares = [getattr(part[0], field) for part in parts]
        assert [len(share) for share in shares] == [20, 20]
        assert torch.equal(torch.stack(shares, 1).flatten(0, 1), getattr(alone, field))


def test_training_images_are_all_of_them_in_order():
    data = data_at(batch_size=30)
    batches = data.training_images()
    assert {len(batch) for batch in batches} == {30, 31}
    assert torch.equal(torch.cat(batches), data.splits.train.images)


def test_the_fingerprint_tells_the_choice_of_labels():
    prints = [data_at(**options).fingerprints() for options in ({}, {"labels": 20}, {"labels": 20, "seed": 1})]
    assert len({each["train"] for each in prints}) == 3
    assert len({each["test"] for each in prints}) == 1
    assert prints[0] == data_at(seed=1).fingerprints()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "shapes"}, "dataset: got 'shapes', needs one of textures1, textures2"),
        ({"unlabelled": True}, "unlabelled: got True, needs a number of labels"),
        ({"labels": 15}, "labels: got 15, a balanced draw needs a multiple of the 10 classes"),
        ({"labels": 4000}, "labels: got 4000, needs 400 digits of every class"),
        ({"batch_size": 401}, "batch_size: got 401, needs 1 to 400"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data_at(**options)
