"""The images that likelihoods are learnt from."""

import pytest
import torch

from fastladder.data import bundled_digits, small_norb
from fastladder.experiments.latent_images.data import LatentImagesData
from tests.data.grey_files import write_norb, write_omniglot


def images(loader):
    return torch.cat([batch.image for batch in loader])


def of_epoch(data, epoch):
    """The training images of an epoch, in the order of their sums, which tells drawn ones apart."""
    type(data).epoch = property(lambda self: epoch)
    return images(data.train_dataloader())


@pytest.fixture(autouse=True)
def _epoch(monkeypatch):
    monkeypatch.setattr(LatentImagesData, "epoch", LatentImagesData.epoch)


def make(**options):
    data = LatentImagesData(batch_size=100, **options)
    data.setup("fit")
    return data


def test_all_but_the_test_digits_are_learnt_from():
    data = make(binary="no")
    assert len(data.splits.train) + len(data.splits.test) == len(bundled_digits().images)
    assert images(data.train_dataloader()).shape == (1400, 8, 8)  # 14 whole batches
    assert len(images(data.test_dataloader())) == len(data.splits.test)


def test_pixels_are_drawn_anew_in_every_epoch_or_once():
    """With batches of all images an epoch has the same images as another, in another order."""
    for binary, alike in (("anew", False), ("once", True), ("no", True)):
        data = LatentImagesData(batch_size=1438, binary=binary)
        data.setup("fit")
        first, again, second = (of_epoch(data, epoch) for epoch in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, second)
        assert torch.equal(first.sum(0), second.sum(0)) == alike
        if binary != "no":
            assert set(first.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(images(data.test_dataloader()), images(data.test_dataloader()))


def test_a_pixel_is_one_with_the_probability_that_it_has():
    data = LatentImagesData(batch_size=1438)
    data.setup("fit")
    drawn = torch.stack([of_epoch(data, epoch).mean(0) for epoch in range(20)]).mean(0)
    torch.testing.assert_close(drawn, data.splits.train.images.mean(0), rtol=0, atol=0.02)


@pytest.fixture
def norb(tmp_path):
    """Four images of small NORB to learn from, with a greatest number of 199, and three of the test."""
    write_norb(tmp_path)
    data = LatentImagesData("norb", "no", batch_size=4, folder=tmp_path)
    data.splits.train.images.clamp_(max=199)
    data.setup("fit")
    return data


def test_noise_of_one_whole_number_is_drawn_on_norb_anew_in_every_epoch(norb):
    """Sorted, as an epoch has an order of its own."""
    first, again, second = (of_epoch(norb, epoch).sort(0).values for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    for drawn in (first, second):
        noise = 200 * drawn - norb.splits.train.images.sort(0).values
        assert noise.min() > -1e-4
        assert noise.max() < 1 + 1e-4
        assert noise.mean() == pytest.approx(0.5, abs=0.02)
        assert noise.std() == pytest.approx(12**-0.5, abs=0.02)


def test_norb_is_divided_by_the_greatest_that_an_image_to_learn_from_can_have(norb):
    assert norb.splits.train.images.max() == 199
    assert 199 / 200 <= of_epoch(norb, 0).max() <= 1
    tested = images(norb.test_dataloader())
    assert ((200 * tested).floor() == norb.splits.test.images).float().mean() > 0.999  # but for rounding
    assert torch.equal(tested, images(norb.test_dataloader()))


def test_a_pixel_of_norb_can_be_a_probability_too(tmp_path):
    write_norb(tmp_path)
    drawn = of_epoch(LatentImagesData("norb", batch_size=4, folder=tmp_path), 0)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(), small_norb(tmp_path).train.images.float().mean() / 255, rtol=0, atol=0.02)


def test_the_caveat_is_that_of_the_file(tmp_path):
    write_omniglot(tmp_path, "omniglot_28x28.npz")
    assert "nat for nat" in LatentImagesData("omniglot", batch_size=2, folder=tmp_path).caveat
    write_omniglot(tmp_path, "chardata.mat")
    assert LatentImagesData("omniglot", batch_size=2, folder=tmp_path).caveat == ""
    assert make().caveat == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: got 0, needs 1 to 1438"),
        ({"batch_size": 1439}, "batch_size: got 1439"),
        ({"download": True}, "download: got True"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        LatentImagesData(**options)
