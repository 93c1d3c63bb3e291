"""The time of a training step by operator."""

import statistics

import torch
from torch.profiler import ProfilerActivity, profile

from bench.harness import clock
from bench.training_steps import TrainingStep

STEPS = 3  # that are profiled
SMALLEST = 1e-3  # share of the time; operators below it are summed up


def profile_step(step: TrainingStep, name: str, device: torch.device) -> dict:
    """Profiles one variant of a training step.

    Returns:
        The median milliseconds of a step without the profiler and, of each operator, its calls in a step and its
        own milliseconds, which leave out those of the operators it calls. Their sum is less than the whole where Python
        runs between operators, and more where the profiler costs time.
    """
    variant = step.variants[name]
    variant.step(step.data)
    times = [clock(lambda: variant.step(step.data), device) for _ in range(STEPS)]
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as profiler:
        for _ in range(STEPS):
            variant.step(step.data)
    return {
        "network": step.network,
        "input": step.input,
        "variant": name,
        "milliseconds": statistics.median(times) * 1e3,
        "operators": by_operator(profiler.key_averages(), device),
    }


def by_operator(events, device: torch.device) -> list[dict]:
    """Calls, milliseconds and share of each operator in a step, the most expensive first, small ones as "other"."""
    kind = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    # A kernel of a GPU has an event of its own beside that of the operator that starts it, which has its time too.
    rows = [
        (event.key, event.count / STEPS, getattr(event, kind) / 1e3 / STEPS)
        for event in events
        if event.device_type == torch.autograd.DeviceType.CPU
    ]
    total = sum(milliseconds for _, _, milliseconds in rows) or 1.0
    large = [row for row in rows if row[2] >= SMALLEST * total]
    small = [row for row in rows if row[2] < SMALLEST * total]
    large.sort(key=lambda row: -row[2])
    other = ("other", sum(row[1] for row in small), sum(row[2] for row in small))
    return [
        {"operator": operator, "calls": calls, "self_milliseconds": milliseconds, "share": milliseconds / total}
        for operator, calls, milliseconds in [*large, other]
    ]
