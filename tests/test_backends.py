"""Choosing a backend: precedence, and errors with their remedy."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
import torch._dynamo

import fastladder
from fastladder import backends
from fastladder.ops import registration

CPU = torch.device("cpu")
PRINT = "import torch; print(fastladder.backends.select_backend('f', torch.device('cpu'), torch.float32))"
WRONG = "FASTLADDER_BACKEND: got 'fastest', needs one of 'auto', 'reference', 'native', 'triton'"


@pytest.fixture(autouse=True)
def nothing_chosen():
    """Every test begins as a new thread does."""
    token = backends._chosen.set((None,))
    yield
    backends._chosen.reset(token)


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


def test_one_object_serves_several_blocks_and_nests_in_itself():
    reference = fastladder.use_backend("reference")
    with fastladder.use_backend("auto"):
        for _ in range(2):
            with reference:
                assert selected() == "reference"
                with reference:
                    assert selected() == "reference"
                assert selected() == "reference"
            assert selected() == "native"


def test_a_setting_inside_a_block_ends_with_it():
    with fastladder.use_backend("reference"):
        fastladder.use_backend("auto")
        assert selected() == "native"
        with fastladder.use_backend("reference"):
            assert selected() == "reference"
        assert selected() == "native"
    assert selected() == "native"


def test_blocks_that_overlap_in_two_threads():
    inside, leave = threading.Barrier(2, timeout=10), threading.Barrier(2, timeout=10)
    seen = {}

    def run(name, first):
        seen[f"{name} before"] = selected()
        with fastladder.use_backend(name):
            inside.wait()
            seen[name] = selected()
            if first:
                leave.wait()  # leaves its block only after the other has left
        if not first:
            leave.wait()
        seen[f"{name} after"] = selected()

    with fastladder.use_backend("reference"), ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, "reference", True), pool.submit(run, "native", False)]:
            done.result()
    native = {"reference before": "native", "native before": "native", "native": "native"}
    assert seen == native | {"reference": "reference", "reference after": "native", "native after": "native"}
    assert selected() == "native"


def test_blocks_that_overlap_in_two_async_tasks():
    async def run(name, entered, wait_for):
        with fastladder.use_backend(name):
            entered.set()
            await wait_for.wait()
            return selected()

    async def both():
        entered, other = asyncio.Event(), asyncio.Event()
        found = await asyncio.gather(run("reference", entered, other), run("native", other, entered))
        return [*found, selected()]

    assert asyncio.run(both()) == ["reference", "native", "native"]


def test_decorator():
    decorate = fastladder.use_backend("reference")
    decorated = decorate(selected)
    assert selected() == "native"
    assert [decorated(), selected(), decorated(), selected()] == ["reference", "native"] * 2
    assert decorated.__name__ == "selected"

    @fastladder.use_backend("reference")
    async def awaited():
        await asyncio.sleep(0)
        return selected()

    assert asyncio.run(awaited()) == "reference"
    assert selected() == "native"


def test_decorator_of_a_generator_function_is_refused():
    def steps():
        yield selected()

    with pytest.raises(TypeError, match=r"generator function .*steps.*, needs a block inside"):
        fastladder.use_backend("reference")(steps)
    assert selected() == "native"


def test_blocks_that_generators_leave_in_another_order():
    def steps():
        with fastladder.use_backend("reference"):
            yield

    generator = steps()
    next(generator)
    with fastladder.use_backend("native"):
        generator.close()
        assert selected() == "native"
    assert selected() == "native"
    assert backends._chosen.get() == (None,)


@pytest.mark.parametrize("thing", [int, classmethod(len), "reference"])
def test_decorator_of_something_else_is_refused(thing):
    with pytest.raises(TypeError, match=r"use_backend: got .*, as a decorator it needs a function"):
        fastladder.use_backend("reference")(thing)


def test_compiled_code_follows_the_choice():
    graphs = []

    def recorded(graph, inputs):
        graphs.append(str(graph.graph))
        return graph

    torch._dynamo.reset()
    x = torch.randn(2, 6)
    compiled = torch.compile(fastladder.ops.combine_g3, fullgraph=True, backend=recorded)
    for name in ("auto", "reference", "auto", "reference"):
        with fastladder.use_backend(name):
            compiled(x)
    assert ["fastladder" in graph for graph in graphs] == [True, False]

    def with_a_block(x):
        with fastladder.use_backend("reference"):
            return fastladder.ops.combine_g3(x)

    torch.compile(with_a_block, fullgraph=True, backend=recorded)(x)
    assert "fastladder" not in graphs[-1]
    assert selected() == "native"


def test_global_setting_stays():
    run = python("import fastladder; fastladder.use_backend('reference');" + PRINT)
    assert run.stdout.strip() == "reference", run.stderr


def test_environment_variable():
    code = "import fastladder;" + PRINT
    for value, backend in {"reference": "reference", "": "native"}.items():
        run = python(code, FASTLADDER_BACKEND=value)
        assert run.stdout.strip() == backend, run.stderr


def test_a_wrong_environment_variable_is_raised_by_the_first_operator():
    call = "import torch, fastladder; print('imported'); fastladder.ops.combine_g3(torch.ones(2, 3))"
    run = python(call, FASTLADDER_BACKEND="fastest")
    assert run.returncode != 0
    assert run.stdout.strip() == "imported"
    assert run.stderr.rstrip().endswith(f"ValueError: environment variable {WRONG}")


def test_an_absent_backend_in_the_environment_variable(monkeypatch):
    monkeypatch.setattr(backends, "_environment", "native")
    for device in ("cpu", "cuda"):
        monkeypatch.setitem(backends._absent, ("native", device), "it is broken; mend it")
    with pytest.raises(RuntimeError, match="FASTLADDER_BACKEND: backend 'native' is not available: it is broken; mend"):
        selected()


def test_use_backend_overrides_a_wrong_environment_variable(monkeypatch):
    monkeypatch.setattr(backends, "_environment", "fastest")
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


def test_an_extension_of_another_version_is_refused_with_a_remedy(monkeypatch):
    newer = replace(registration.OPERATORS[0], name="of_tomorrow")
    monkeypatch.setattr(registration, "OPERATORS", [newer])
    with pytest.raises(ImportError, match=r"is of another version: it has no of_tomorrow; .* pip install"):
        registration.attach("fastladder")
