"""Measures time: medians of interleaved variants, inputs that are not in a cache, bandwidth against a copy."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

CACHE = 128 * 2**20  # bytes; more than the last cache of a CPU or the L2 of a GPU holds
WARMUP = 3
FEWEST, MOST, LONG = 5, 15, 2.0  # rounds: as many as the slowest variant takes two seconds for, within limits


def clock(run: Callable[[], object], device: torch.device) -> float:
    """Seconds that one call takes until its results are complete."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def interleaved(benchmark, variants: dict[str, Callable[[], object]], device: torch.device) -> dict[str, float]:
    """Median milliseconds of every variant. They alternate, so that a slow moment of the machine affects all of them.

    The variant called "ours" is what pytest-benchmark records; the others run before each of its rounds.
    """
    others = {name: run for name, run in variants.items() if name != "ours"}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(WARMUP):
        slowest = max(clock(run, device) for run in variants.values())

    def before_each_round() -> None:
        for name, run in others.items():
            times[name].append(clock(run, device))

    def ours() -> None:
        times["ours"].append(clock(variants["ours"], device))

    benchmark.pedantic(ours, setup=before_each_round, rounds=max(FEWEST, min(MOST, round(LONG / slowest))))
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def rotating(function: Callable[..., object], inputs: Sequence[Sequence[Tensor]]) -> Callable[[], object]:
    """Calls the function with the next set of inputs each time, so that none is still in a cache."""
    sets = itertools.cycle(inputs)
    return lambda: function(*next(sets))


def copies(make: Callable[[int], list[Tensor]]) -> list[list[Tensor]]:
    """Sets of inputs from different seeds: as many as fill the caches, and at least two."""
    first = make(0)
    size = sum(x.nbytes for x in first)
    return [first, *(make(seed) for seed in range(1, max(2, min(64, -(-CACHE // max(size, 1))))))]


def copy_bandwidth(moved: int, device: torch.device) -> float:
    """Bytes per second, read and written, of copies that move as many bytes."""
    count = max(moved // 8, 1)
    pairs = [
        [torch.randn(count, device=device), torch.empty(count, device=device)]
        for _ in range(max(2, min(64, -(-CACHE // max(moved, 1)))))
    ]
    run = rotating(lambda source, target: target.copy_(source), pairs)
    for _ in range(len(pairs) + WARMUP):
        run()
    return 8 * count / statistics.median(clock(run, device) for _ in range(MOST))
