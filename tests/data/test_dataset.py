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
    UNLABELLED,
    Digits,
    MovingDigits,
    MovingDigitSequence,
    OccludedMovingDigits,
    OptimalReconstructions,
    occlude,
    optimal_reconstruction,
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


@pytest.fixture
def labelled():
    return torch.arange(30) % 3 == 0


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.cpu(), b.cpu(), rtol=0, atol=0)


def test_an_item(digits):
    dataset = OccludedMovingDigits(digits, SMALL, seed=3)
    assert len(dataset) == 30
    for index in (0, 17, -1):
        item = dataset[index]
        assert isinstance(item, MovingDigitSequence)
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
        assert isinstance(batch, MovingDigitSequence)
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


def test_fingerprint_is_of_the_labels_that_are_told(digits, labelled):
    def fingerprint(labelled):
        return OccludedMovingDigits(digits, SMALL, labelled=labelled).fingerprint()

    everything = torch.ones(30, dtype=torch.bool)
    assert fingerprint(everything) == fingerprint(None)
    assert fingerprint(labelled) == fingerprint(labelled.clone())
    assert len({fingerprint(mask) for mask in (None, labelled, ~labelled, labelled.roll(1))}) == 4


@DEVICES
@pytest.mark.parametrize("dataset_type", [OccludedMovingDigits, OptimalReconstructions])
def test_labels_are_told_where_asked(dataset_type, digits, labelled, device):
    dataset = dataset_type(digits, SMALL, labelled=labelled, device=device)
    known = dataset[:].label.cpu()
    assert known.dtype == torch.int64
    assert torch.equal(known[labelled], digits.labels[labelled])
    assert (known[~labelled] == UNLABELLED).all()
    assert dataset[1].label == UNLABELLED
    (batch,) = DataLoader(dataset_type(digits, SMALL, labelled=labelled), batch_size=30)
    assert torch.equal(batch.label, known)
    dataset.resample(1)
    assert torch.equal(dataset[:].label.cpu(), known)


def test_cross_entropy_passes_over_what_has_no_label():
    logits = torch.randn(2, 10, generator=torch.Generator().manual_seed(0))
    some, first = torch.tensor([3, UNLABELLED]), torch.tensor([3])
    cross_entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(cross_entropy(logits, some), cross_entropy(logits[:1], first))


def test_hidden_labels_change_nothing_but_the_labels(digits, labelled):
    one, other = OccludedMovingDigits(digits, SMALL)[:], OccludedMovingDigits(digits, SMALL, labelled=labelled)[:]
    assert_same(one._replace(label=other.label), other)


@DEVICES
def test_an_optimal_reconstruction(digits, device):
    sequences, dataset = (kind(digits, SMALL, seed=3) for kind in (OccludedMovingDigits, OptimalReconstructions))
    assert len(dataset) == 30
    batch, summed_up = OptimalReconstructions(digits, SMALL, seed=3, device=device)[:], sequences[:]
    known = optimal_reconstruction(digits.images, summed_up.position, SMALL)
    assert batch.observed.device.type == device
    assert batch.observed.shape == (30, 1, 1, 20, 20)
    assert_same(batch, summed_up._replace(observed=known[:, None]))
    for index in (0, 17, -1):
        item = dataset[index]
        assert item.observed.shape == (1, 1, 20, 20)
        assert_same(item, [field[index] for field in batch])
    with pytest.raises(IndexError, match="index: got 30"):
        dataset[30]


def test_a_loader_gives_optimal_reconstructions(digits):
    dataset = OptimalReconstructions(digits, SMALL)
    batches = list(DataLoader(dataset, batch_size=16))
    assert_same([torch.cat(fields) for fields in zip(*batches, strict=True)], dataset[:])


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (
            torch.ones(29, dtype=torch.bool),
            r"labelled: got torch.bool of shape \(29,\), needs bool, one for each digit",
        ),
        (torch.ones(30, 1, dtype=torch.bool), r"labelled: got torch.bool of shape \(30, 1\)"),
        (torch.ones(30), r"labelled: got torch.float32 of shape \(30,\), needs bool"),
        (torch.arange(10), r"labelled: got torch.int64 of shape \(10,\), needs bool"),
    ],
    ids=["too few", "a matrix", "numbers", "indices"],
)
def test_a_wrong_mask_is_refused(digits, labelled, message):
    with pytest.raises(ValueError, match=message):
        OccludedMovingDigits(digits, SMALL, labelled=labelled)


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
