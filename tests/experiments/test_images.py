import pytest
import torch

from fastladder.data import shapes
from fastladder.experiments.shapes.data import ShapesData
from fastladder.experiments.textured_digits.data import grouped_digits

SIZES = (50, 7, 6)


def make(**options):
    return ShapesData(**({"sizes": SIZES, "batch_size": 8} | options))


def ready(**options):
    data = make(**options)
    data.setup("fit")
    return data


def test_an_epoch_shows_every_image_once_but_for_a_last_smaller_batch():
    data = ready()
    batches = [batch.image for batch in data.train_dataloader()]
    assert [len(batch) for batch in batches] == [8] * 6
    seen = torch.cat(batches).flatten(1).unique(dim=0)
    every = shapes(SIZES).train.images.flatten(1)
    assert len(seen) == 48
    assert all((every == image).all(1).any() for image in seen)


def test_order_depends_on_the_seed():
    one, same, other = (ready(seed=seed).train_dataloader() for seed in (0, 0, 1))
    firsts = [next(iter(loader)).image for loader in (one, same, other)]
    assert torch.equal(firsts[0], firsts[1])
    assert not torch.equal(firsts[0], firsts[2])


def test_evaluation_shows_every_image_in_order():
    data = ready()
    for loader, part in ((data.val_dataloader(), data.splits.valid), (data.test_dataloader(), data.splits.test)):
        (batch,) = loader
        assert torch.equal(batch.image, part.images)
        assert torch.equal(batch.groups, part.groups)
        assert batch.label is None


@pytest.mark.parametrize(("dataset", "digits"), [("textures1", 1), ("textures2", 2)])
def test_textured_digits_have_labels(dataset, digits):
    data = grouped_digits(dataset=dataset, source="bundled", sizes=SIZES, batch_size=8)
    data.setup("test")
    (batch,) = data.test_dataloader()
    assert batch.label.shape == (6, digits)
    assert batch.image.shape == (6, 20, 20)


def test_another_number_of_shapes_is_for_the_test_only():
    plain, four = make(), make(test_objects=4)
    assert torch.equal(plain.splits.train.images, four.splits.train.images)
    assert four.splits.test.groups.max() == 4
    assert plain.splits.test.groups.max() == 3


def test_the_fingerprint_is_of_the_data_and_not_of_the_order():
    prints = make(seed=0).fingerprints()
    assert prints == make(seed=1).fingerprints()
    assert prints.keys() == {"train", "valid", "test"}
    changed = make(test_objects=2).fingerprints()
    assert prints["train"] == changed["train"]
    assert prints["test"] != changed["test"]


@pytest.mark.parametrize("size", [0, 51])
def test_refuses_a_wrong_batch_size(size):
    with pytest.raises(ValueError, match=f"batch_size: got {size}, needs 1 to 50"):
        make(batch_size=size)
