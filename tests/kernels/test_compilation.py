"""The kernels, compiled ahead of time for GPUs that this machine does not have.

A kernel that the interpreter runs may still not compile, may spill registers, or may load four bytes at a time. So the
launches of every operator are recorded, as Triton specialises them, without running; then they are compiled.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from fastladder.backends import INTERPRETED

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(INTERPRETED, reason="TRITON_INTERPRET=1: nothing is compiled in this process")

CHANNELS = 64
POSITIONS = (32, 32)
KERNELS = {
    "moments_kernel",
    "lstm_gates_kernel",
    "lstm_gates_backward_kernel",
    "combine_g1_kernel",
    "combine_g1_backward_kernel",
    "combine_g2_kernel",
    "combine_g2_backward_kernel",
    "combine_g3_hidden_kernel",
    "combine_g3_hidden_backward_kernel",
    "combine_g3_kernel",
    "combine_g3_backward_kernel",
    "evidence_kernel",
    "evidence_backward_kernel",
    "mixture_kernel",
    "mixture_backward_kernel",
    "gaussian_moments_kernel",
    "gaussian_moments_backward_kernel",
    "gaussian_merge_kernel",
    "gaussian_merge_backward_kernel",
    "gaussian_kl_kernel",
    "gaussian_kl_backward_kernel",
    "merge_sample_kl_kernel",
    "merge_sample_kl_backward_kernel",
    "wiener_kl_kernel",
    "wiener_kl_backward_kernel",
}
# Their threads have registers for four elements only: 16 bytes in float32, 8 in the narrow dtypes.
CROWDED_KERNELS = {
    "lstm_gates_backward_kernel",
    "combine_g1_backward_kernel",
    "combine_g2_kernel",
    "combine_g2_backward_kernel",
}
SMALL_KERNELS = {"merge_moments_kernel"}  # where a norm group has several chunks; reads kilobytes, at any alignment


@dataclass(frozen=True)
class Launch:
    """One kernel as a launch specialises it, for Triton's just-in-time compiler."""

    kernel: Any
    signature: dict[str, Any]
    constants: dict[tuple[int, ...], Any]
    attributes: dict[tuple[int, ...], Any]
    num_warps: int


Recorder = Callable[[int], AbstractContextManager[list[Launch]]]


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """record(architecture) is a context in which kernels do not run; it yields the list of their launches."""
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.compiler import CUDABackend
    from triton.runtime.jit import JITFunction, create_function_from_signature

    @contextmanager
    def recording(architecture: int) -> Iterator[list[Launch]]:
        backend = CUDABackend(GPUTarget("cuda", architecture, 32))
        launches = []

        def run(kernel: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
            options |= {"debug": False, "instrumentation_mode": ""}
            bind = create_function_from_signature(kernel.signature, kernel.params, backend)
            bound, specialization, rest = bind(*arguments, **options)
            chosen, *specialized = kernel._pack_args(backend, options, bound, specialization, rest)
            launches.append(Launch(kernel, *specialized, chosen.num_warps))

        with monkeypatch.context() as patch:
            patch.setattr(JITFunction, "run", run)
            yield launches

    return recording


def run_all_operators(
    dtype: torch.dtype, layout: torch.memory_format, norm: str, groups: int = 4, samples: int = 2
) -> None:
    """Every operator, forward and backward, with all its arguments."""
    import fastladder.kernels  # noqa: F401 - registers the operators

    operators = torch.ops.fastladder_triton
    c, eps = CHANNELS, 1e-5

    def activation(channels: int) -> torch.Tensor:
        return torch.empty(samples, channels, *POSITIONS, dtype=dtype, memory_format=layout)

    cell, threefold, fourfold = activation(c), activation(3 * c), activation(4 * c)
    for state in {cell.dtype: cell, torch.float32: cell.float()}.values():
        lstm = ([fourfold] * 3, state, torch.empty(3, 4 * c), torch.empty(4 * c), norm, eps)
        *_, mean, rstd = operators.lstm_gates(*lstm)
        operators.lstm_gates_backward(cell, state, *lstm, mean, rstd)
    f = torch.empty(5, c)
    g1 = (cell, cell, f, f, torch.empty(c), torch.empty(c), norm, True, eps)
    g2 = (threefold, threefold, torch.empty(3, 5, c), torch.empty(2, 3 * c), torch.empty(3 * c), norm, eps)
    g3_hidden = (cell, cell, torch.empty(2, c), torch.empty(c), norm, eps)
    for name, arguments in {"combine_g1": g1, "combine_g2": g2, "combine_g3_hidden": g3_hidden}.items():
        _, mean, rstd = getattr(operators, name)(*arguments)
        getattr(operators, f"{name}_backward")(cell, *arguments, mean, rstd)
    operators.combine_g3(threefold)
    operators.combine_g3_backward(cell, threefold)
    data, group = (torch.empty(samples, *shape, dtype=dtype) for shape in (POSITIONS, (groups, *POSITIONS)))
    features = torch.empty(samples, groups, 4, *POSITIONS, dtype=dtype)
    nll, tensors, variance = torch.empty(samples), (data, group, group), torch.empty(())
    for delta in ("residual", "weighted", "gradient"):
        operators.group_evidence(*tensors, variance, delta)
        operators.group_evidence_backward(group, group, *tensors, variance, delta)
    operators.group_features(*tensors, variance, "gradient")
    operators.group_features_backward(features, *tensors, variance, "gradient")
    operators.group_evidence_bernoulli(*tensors, 0.2)
    operators.group_evidence_bernoulli_backward(group, group, *tensors, 0.2)
    operators.group_features_bernoulli(*tensors, 0.2)
    operators.group_features_bernoulli_backward(features, *tensors, 0.2)
    operators.group_mixture_nll(*tensors, variance)
    operators.group_mixture_nll_backward(nll, group, *tensors, variance)
    operators.group_mixture_nll_bernoulli(*tensors)
    operators.group_mixture_nll_bernoulli_backward(nll, group, *tensors)
    sequence = torch.empty(24, samples, c, dtype=dtype)
    for exact in (True, False):
        kl = operators.wiener_kl(sequence, sequence, exact)
        operators.wiener_kl_backward(kl, sequence, sequence, exact)
    operators.gaussian_merge(cell, cell, cell, cell)
    operators.gaussian_merge_backward(cell, cell, cell, cell, cell, cell)
    operators.gaussian_kl_backward(operators.gaussian_kl(cell, cell, cell, cell), cell, cell, cell, cell)
    *_, kl = operators.merge_sample_kl(*[cell] * 7)
    operators.merge_sample_kl_backward(cell, cell, cell, kl, *[cell] * 7)
    for name in ("tanh_moments", "sigmoid_moments", "relu_moments"):
        getattr(operators, name)(cell, cell)
        getattr(operators, f"{name}_backward")(cell, cell, cell, cell)
    state, weight = torch.empty(samples, c, dtype=dtype), torch.empty(c, c, dtype=dtype)
    for nonlinearity in ("tanh", "sigmoid", "relu"):
        moments = (sequence, sequence, state, state, weight, weight, torch.empty(c), None, nonlinearity, True)
        means, variances, mean, var, *kept = operators.moments_sequence(*moments)
        operators.moments_sequence_backward(means, variances, mean, var, *moments, means, *kept)


def compile_for(launch: Launch, architecture: int) -> dict[str, Any]:
    """The kernel in every form that it takes on its way to the GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    source = ASTSource(launch.kernel, launch.signature, launch.constants, launch.attributes)
    options = {"num_warps": launch.num_warps}
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options).asm


def resources(cubin: bytes, folder: Path) -> dict[str, int]:
    """The resources of a thread: REG, STACK, LOCAL and so on."""
    import triton

    path = folder / "kernel.cubin"
    path.write_bytes(cubin)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    command = [os.fspath(tool), "-res-usage", os.fspath(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: int(number) for name, number in re.findall(r"\b([A-Z]+):(\d+)", output)}


@pytest.mark.parametrize(
    ("architecture", "dtype", "layout", "norm", "groups"),
    [
        (80, torch.float32, torch.contiguous_format, "layer", 1),
        (90, torch.bfloat16, torch.channels_last, "batch", 4),  # needs the most registers
        (100, torch.float16, torch.contiguous_format, "batch", 32),
        (120, torch.float32, torch.channels_last, "layer", 5),
    ],
)
def test_every_kernel_compiles_well(
    record: Recorder,
    tmp_path: Path,
    architecture: int,
    dtype: torch.dtype,
    layout: torch.memory_format,
    norm: str,
    groups: int,
) -> None:
    with record(architecture) as launches:
        run_all_operators(dtype, layout, norm, groups)
    assert KERNELS <= {launch.kernel.__name__ for launch in launches} <= KERNELS | SMALL_KERNELS
    for launch in launches:
        name = launch.kernel.__name__
        asm = compile_for(launch, architecture)
        used = resources(asm["cubin"], tmp_path)
        assert used["STACK"] == used["LOCAL"] == 0, f"{name} spills registers: {used}"
        assert ".f64" not in asm["ptx"], f"{name} computes in float64"
        words = 2 if name in CROWDED_KERNELS and dtype.itemsize == 2 else 4
        if name not in SMALL_KERNELS:
            assert re.search(rf"ld\.global\S*\.v{words}\.b32", asm["ptx"]), f"{name} has no {4 * words}-byte loads"


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_another_batch_size_compiles_nothing_anew(record: Recorder, layout: torch.memory_format, norm: str) -> None:
    """The exception is the merging of moments, which starts where a norm group no longer fits one program."""

    def specializations(samples: int) -> list[Launch]:
        with record(90) as launches:
            run_all_operators(torch.float32, layout, norm, samples=samples)
        return [launch for launch in launches if launch.kernel.__name__ not in SMALL_KERNELS]

    assert specializations(5) == specializations(6) == specializations(16)
