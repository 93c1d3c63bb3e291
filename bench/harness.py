"""Measures throughput: medians of interleaved variants, inputs that are not in a cache, bandwidth against a copy."""

import ctypes
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

CACHE = 128 * 2**20  # bytes; more than the last cache of a CPU or the L2 of a GPU holds
ROUNDS, WARMUP = 15, 3
SLOW = 0.5  # seconds; above it there are five rounds only
VISIBLE = 2**20  # bytes; below it the overhead of a call dominates, and no bandwidth is reported

# The targets of this project: the least ratios to eager and to torch.compile, on two CPU cores in float32.
TARGETS = {
    ("lstm_gates", "forward"): (5.0, 2.5),
    ("lstm_gates", "forward+backward"): (3.0, 2.0),
    ("combine_g1", "forward+backward"): (3.0, 1.5),
    ("combine_g2", "forward+backward"): (3.0, 1.5),
    ("combine_g3_hidden", "forward+backward"): (1.5, 1.0),
    ("combine_g3", "forward+backward"): (2.5, 1.2),
    ("ladder_combine", "forward+backward"): (3.0, 1.3),
    ("group_evidence", "forward+backward"): (2.0, 1.7),
    ("group_evidence_bernoulli", "forward+backward"): (2.0, 1.7),
    ("group_features", "forward+backward"): (2.0, 1.7),
    ("group_features_bernoulli", "forward+backward"): (2.0, 1.7),
    ("group_mixture_nll", "forward+backward"): (3.0, 2.0),
    ("group_mixture_nll_bernoulli", "forward+backward"): (3.0, 2.0),
    ("RLadder training step", "forward+backward"): (1.3, None),
    ("LSTM, norm none, against torch.nn.LSTM", "forward+backward"): (1 / 1.1, None),
    ("LSTM, norm layer, against torch.nn.LSTM", "forward+backward"): (1 / 1.4, None),
}


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def keep_memory() -> None:
    """Makes the C library keep freed memory, for all variants alike, as the allocator of a GPU does.

    Else the system provides memory of more than 32 MB anew in every call, and the time to clear its pages is measured
    too: up to three times that of a kernel, and different in every run.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@dataclass
class Measurement:
    """One row of the table: times are medians in milliseconds."""

    operator: str
    shape: str
    dtype: str
    direction: str
    eager: float
    compiled: float | None
    ours: float
    bytes: int | None = None  # to be moved at least: every input once, every output once
    copy_bandwidth: float | None = None  # bytes per second of a copy of as many bytes, in the same run
    saved: int | None = None  # bytes kept for the backward pass beside the inputs, ours
    saved_eager: int | None = None

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second."""
        return self.bytes / self.ours * 1e3 if self.bytes and self.bytes >= VISIBLE else None

    @property
    def share(self) -> float | None:
        """The bandwidth relative to that of a copy."""
        return self.bandwidth / self.copy_bandwidth if self.bandwidth and self.copy_bandwidth else None

    @property
    def verdict(self) -> str:
        """Whether the project's targets are met and neither eager nor torch.compile is faster."""
        to_eager, to_compiled = TARGETS.get((self.operator, self.direction), (1.0, 1.0))
        against = [(self.eager, to_eager), (self.compiled, to_compiled)]
        met = all(other is None or least is None or other / self.ours >= least for other, least in against)
        wins = all(other is None or other >= self.ours for other, _ in against)
        return "met" if met else "below target" if wins else "SLOWER"

    def record(self) -> dict:
        return asdict(self) | {"bandwidth": self.bandwidth, "share": self.share, "verdict": self.verdict}


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
    slowest = max(clock(run, device) for _ in range(WARMUP) for run in variants.values())

    def before_each_round() -> None:
        for name, run in others.items():
            times[name].append(clock(run, device))

    def ours() -> None:
        times["ours"].append(clock(variants["ours"], device))

    benchmark.pedantic(ours, setup=before_each_round, rounds=5 if slowest > SLOW else ROUNDS)
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
    return 8 * count / statistics.median(clock(run, device) for _ in range(ROUNDS))


def saved_bytes(call: Callable[..., object], inputs: list[Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass beside the inputs themselves."""
    own = {x.untyped_storage().data_ptr() for x in inputs}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in own:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        outputs = call(*(x.detach().requires_grad_() for x in inputs))
    assert outputs is not None
    return sum(kept.values())
