"""Choosing a backend: precedence, errors with their remedy, and what an import costs."""

import os
import subprocess
import sys

import pytest
import torch

import fastladder
from fastladder import backends

CPU = torch.device("cpu")
PRINT = "import torch; print(fastladder.backends.select_backend('f', torch.device('cpu'), torch.float32))"
WRONG = "FASTLADDER_BACKEND: got 'fastest', needs one of 'auto', 'reference', 'native', 'triton'"


def selected(device=CPU, dtype=torch.float32):
    return backends.select_backend("lstm_gates", device, dtype)


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_auto_takes_native_on_cpu():
    assert selected() == "native"


def test_context_manager_nests_and_restores():
    with fastladder.use_backend("reference"):
        assert selected() == "reference"
        with fastladder.use_backend("auto"):
            assert selected() == "native"
        assert selected() == "reference"
    assert selected() == "native"


def test_context_manager_restores_after_an_error():
    with pytest.raises(KeyError), fastladder.use_backend("reference"):
        raise KeyError
    assert selected() == "native"


def test_global_setting_stays():
    run = python("import fastladder; fastladder.use_backend('reference');" + PRINT)
    assert run.stdout.strip() == "reference", run.stderr


def test_environment_variable():
    code = "import fastladder;" + PRINT
    assert python(code, FASTLADDER_BACKEND="reference").stdout.strip() == "reference"


def test_a_wrong_environment_variable_is_raised_by_the_first_operator():
    call = "import torch, fastladder; print('imported'); fastladder.ops.combine_g3(torch.ones(2, 3))"
    run = python(call, FASTLADDER_BACKEND="fastest")
    assert run.returncode != 0
    assert run.stdout.strip() == "imported"
    assert run.stderr.rstrip().endswith(f"ValueError: environment variable {WRONG}")


def test_an_absent_backend_in_the_environment_variable(monkeypatch):
    monkeypatch.setattr(backends, "_requested", "native")
    for device in ("cpu", "cuda"):
        monkeypatch.setitem(backends._absent, ("native", device), "it is broken; mend it")
    with pytest.raises(RuntimeError, match="FASTLADDER_BACKEND: backend 'native' is not available: it is broken; mend"):
        selected()


def test_use_backend_overrides_a_wrong_environment_variable(monkeypatch):
    monkeypatch.setattr(backends, "_requested", "fastest")
    with fastladder.use_backend("reference"):
        assert selected() == "reference"
        backends.check_environment()
    with pytest.raises(ValueError, match=WRONG):
        selected()


def test_unknown_backend():
    with pytest.raises(ValueError, match="use_backend: got 'cuda', needs one of 'auto', 'reference'"):
        fastladder.use_backend("cuda")
    assert selected() == "native"


def test_absent_backend_says_why_and_what_to_do():
    if torch.cuda.is_available() or backends.INTERPRETED:
        pytest.skip("Triton is present here")
    with pytest.raises(RuntimeError, match=r"'triton' is not available.*TRITON_INTERPRET=1"):
        fastladder.use_backend("triton")
    assert selected() == "native"


def test_backend_that_does_not_run_on_the_device():
    refused = f"'native' cannot run lstm_gates on meta: {backends.unavailable_reason('native', 'meta')}"
    with fastladder.use_backend("native"), pytest.raises(RuntimeError, match=refused):
        selected(torch.device("meta"))


def test_other_devices_take_the_reference():
    assert selected(torch.device("meta")) == "reference"


def test_import_costs_torch_only():
    heavy = ["lightning", "matplotlib", "sklearn", "pooch", "jsonargparse", "rich", "tensorboard", "triton", "scipy"]
    code = (
        "import sys, torch; before = set(sys.modules); import fastladder; "
        f"print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] in {heavy!r}))"
    )
    run = python(code)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
