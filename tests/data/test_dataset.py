import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from fastladder import data
from fastladder.data import (
    PAPER,
    SMALL,
    Digits,
    MovingDigits,
    OccludedMovingDigits,
    Sequence,
    occlude,
    render,
)

DEVICES = pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))],
)


@pytest.fixture
def digits():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, 8, 8, generator=generator)
    return Digits(images, torch.randint(10, (30,), generator=generator), "noise")


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.cpu(), b.cpu(), rtol=0, atol=0)


def test_an_item(digits):
    dataset = OccludedMovingDigits(digits, SMALL, seed=3)
    assert len(dataset) == 30
    for index in (0, 17, -1):
        item = dataset[index]
        assert isinstance(item, Sequence)
        assert item.observed.shape == item.clean.shape == (5, 1, 20, 20)
        assert item.position.shape == (5, 2)
        assert item.label == digits.labels[index]
        clean = render(digits.images[index][None], item.position[None], SMALL)[0]
        assert torch.equal(item.clean, clean)
        assert torch.equal(item.observed, occlude(clean, SMALL))


def test_an_index_out_of_range(digits):
    dataset = OccludedMovingDigits(digits, SMALL)
    with pytest.raises(IndexError, match="index: got 30, needs -30 to 29"):
        dataset[30]
    assert len(list(dataset)) == 30


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_batches_of_direct_indexing(digits, workers):
    dataset = OccludedMovingDigits(digits, SMALL)
    batches = list(DataLoader(dataset, batch_size=8, num_workers=workers))
    assert [len(batch.label) for batch in batches] == [8, 8, 8, 6]
    for start, batch in zip(range(0, 30, 8), batches, strict=True):
        assert isinstance(batch, Sequence)
        assert_same(batch, dataset[list(range(start, min(start + 8, 30)))])
        assert_same(batch, dataset[start : start + 8])


def test_a_shuffling_loader_shows_every_digit_once(digits):
    dataset = OccludedMovingDigits(digits, SMALL)
    loader = DataLoader(dataset, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(0))
    clean = torch.cat([batch.clean for batch in loader])
    assert not torch.equal(clean, dataset[:].clean)
    assert torch.equal(clean.sum((1, 2, 3, 4)).sort().values, dataset[:].clean.sum((1, 2, 3, 4)).sort().values)


@DEVICES
def test_seed_and_epoch_decide(digits, device):
    dataset = OccludedMovingDigits(digits, SMALL, seed=1, device=device)
    seen = []
    for epoch in range(3):
        dataset.resample(epoch)
        seen.append(dataset[:])
    assert seen[0].observed.device.type == device

    resumed = OccludedMovingDigits(digits, SMALL, seed=1)
    assert_same(resumed[:], seen[0])
    resumed.resample(2)
    assert_same(resumed[:], seen[2])
    others = [
        seen[1],
        seen[2],
        OccludedMovingDigits(digits, SMALL, seed=0)[:],
        OccludedMovingDigits(digits, SMALL, seed=2)[:],
    ]
    for other in others:
        assert not torch.equal(other.position.cpu(), seen[0].position.cpu())


def test_seed_and_epoch_do_not_trade_places(digits):
    one, other = (OccludedMovingDigits(digits, SMALL, seed=seed) for seed in (1, 2))
    one.resample(2)
    other.resample(1)
    assert not torch.equal(one.positions, other.positions)


def test_the_global_generator_is_left_alone(digits):
    state = torch.get_rng_state()
    OccludedMovingDigits(digits, SMALL)[:]
    assert torch.equal(torch.get_rng_state(), state)


def test_fingerprint(digits):
    def fingerprint(digits=digits, config=SMALL, seed=0):
        return OccludedMovingDigits(digits, config, seed=seed).fingerprint()

    assert fingerprint() == fingerprint()
    others = [
        fingerprint(seed=1),
        fingerprint(config=MovingDigits(20, 8, bar_width=2, bar_starts=(5, 12))),
        fingerprint(digits=digits.subset(slice(29))),
    ]
    assert len({fingerprint(), *others}) == 4
    dataset = OccludedMovingDigits(digits, SMALL)
    dataset.resample(5)
    assert dataset.fingerprint() == fingerprint()


def test_digits_of_another_size_are_refused(digits):
    message = r"digits: got images of shape \(30, 8, 8\), needs \(M, 14, 14\) by config.digit_size"
    with pytest.raises(ValueError, match=message):
        OccludedMovingDigits(digits, PAPER)


def test_a_negative_seed_is_refused(digits):
    with pytest.raises(ValueError, match="seed: got -1, needs 0 or more"):
        OccludedMovingDigits(digits, SMALL, seed=-1)


def test_import_is_light():
    """What only some functions use is imported by them."""
    heavy = "{'sklearn', 'pooch', 'lightning', 'matplotlib'}"
    code = f"import sys, fastladder.data; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_data_imports_neither_models_nor_operators():
    sources = Path(data.__file__).parent.glob("*.py")
    imported = {
        part
        for source in sources
        for part in re.findall(r"^\s*(?:from|import) (fastladder\S*)", source.read_text(), re.M)
    }
    assert imported
    assert all(name.startswith("fastladder.data.") for name in imported)
