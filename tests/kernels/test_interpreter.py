"""Runs interpreted.py in a process: the interpreter is chosen before Triton is imported, and may crash the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")


def test_kernels_agree_with_the_reference() -> None:
    checks = Path(__file__).with_name("interpreted.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", os.fspath(checks)]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    environment.pop("FASTLADDER_BACKEND", None)
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-8000:] + finished.stderr[-2000:]
