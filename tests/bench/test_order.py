"""The order in which the bench runs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_keeps_memory_comes_last():
    """A process that keeps freed memory cannot go back."""
    collect = [sys.executable, "-m", "pytest", "bench", "--collect-only", "--quiet"]
    listed = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [line for line in listed.splitlines() if line.startswith("bench/")]
    keeps = [
        "[kept-" in name
        or name.split("bench_")[1].startswith(("lstm_gates", "gated_combine", "grouping", "gaussian", "moments"))
        for name in names
    ]
    assert keeps == sorted(keeps)
    assert {True, False} == set(keeps)
