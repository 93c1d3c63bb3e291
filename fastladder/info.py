"""What is installed here and on which machine: the text of `fastladder doctor` and the record beside every result."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from fastladder import backends, extension

PACKAGES = ("fastladder", "torch", "triton", "numpy", "lightning", "jsonargparse", "rich", "matplotlib", "scikit-learn",
            "pooch", "tensorboard")  # fmt: skip
RESULTS = ("results", "RESULTS.md", "bench/results", "README.md")  # README has a table of the bench
PLACES = {"native": ("cpu", "cuda"), "triton": ("cuda", "cpu")}


def environment(seed: int | None = None) -> dict[str, Any]:
    """What is stored beside every number, as plain values: command, commit, device, versions and seed.

    Args:
        seed: of the run; None if nothing in it is random.
    """
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": commit(),
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "variables": variables(),
        "seed": seed,
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def commit() -> str | None:
    """The commit of the checkout that this package runs from; None without a checkout.

    "-dirty" is added if files changed, other than those that results are written to.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    others = [f":(exclude){path}" for path in RESULTS]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ".", *others], capture_output=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or the checkout belongs to someone else
        return None
    return head.stdout.strip() + ("-dirty" if changed.returncode else "")


def versions() -> dict[str, str | None]:
    """The versions of Python and of every package in `PACKAGES`; None for one that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def variables() -> dict[str, str]:
    """The environment variables that change what fastladder does."""
    names = ("OMP_NUM_THREADS", "TRITON_INTERPRET")
    return {
        name: value for name, value in sorted(os.environ.items()) if name.startswith("FASTLADDER_") or name in names
    }


def cpu_name() -> str:
    """The processor's model, as precisely as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def gpu_names() -> list[str]:
    """Every CUDA device that torch sees."""
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def device_name() -> str:
    """The machine in one line."""
    return ", ".join([f"{cpu_name()} ({os.cpu_count()} cores)", *gpu_names()])


def doctor() -> str:
    """The report of `fastladder doctor`: versions, machine, build, and backends with the reason where one is absent."""
    sections = {
        f"fastladder {_version('fastladder')}": {
            "commit": commit() or "not a checkout",
            "folder": str(Path(__file__).parent),
        },
        "Versions": {name: found or "not installed" for name, found in versions().items() if name != "fastladder"},
        "Machine": _machine(),
        "Build": _build(),
        "Backends": _backends(),
        "Environment": variables() or {"FASTLADDER_*": "none is set"},
    }
    missing = [name for name, found in versions().items() if found is None]
    width = max(len(name) for rows in sections.values() for name in rows) + 2
    lines = []
    for title, rows in sections.items():
        lines += [title, *(f"  {name:<{width}}{value}" for name, value in rows.items()), ""]
    if missing:
        lines.append("Training and data need the missing packages; run: pip install 'fastladder[train]'")
    return "\n".join(lines).rstrip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, str]:
    return {
        "system": platform.platform(),
        "cpu": f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads in use",
        "gpu": ", ".join(gpu_names()) or "none that torch sees",
    }


def _build() -> dict[str, str]:
    if extension.module is None:
        return {"extension": "not built or not loaded, see native under Backends"}
    info = extension.module.build_info()
    return {
        "compiler": str(info["compiler"]),
        "SIMD level": str(info["simd"]),
        "torch ABI": f"stable, of torch {info['torch_target']}",
        "CUDA": str(info["cuda_architectures"]) or "built without",
    }


def _backends() -> dict[str, str]:
    rows = {"reference": "runs on every device"}
    for name, devices in PLACES.items():
        for device in devices:
            reason = backends.unavailable_reason(name, device)
            rows[f"{name} on {device}"] = "runs" if reason is None else f"absent: {reason}"
    return rows
