"""One training step of the RLadder of Table 5: 32 x 32, five frames, forward, backward and Adam.

Most of it is convolutions, which both backends share; how fast those are depends on the memory layout.
"""

import pytest
import torch
from torch.nn import functional

import fastladder
from bench.harness import Measurement, interleaved
from fastladder.models import RLadder, rladder_occluded_digits


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("batch", [10, 20])
def test_rladder_training_step(benchmark, report, backend, device, batch, layout):
    torch.manual_seed(0)
    model = RLadder(rladder_occluded_digits(), (1, 32, 32), steps=5).to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    frames = torch.rand(batch, 5, 1, 32, 32, device=device)
    labels = torch.randint(10, (batch,), device=device)

    def step(name):
        def run():
            with fastladder.use_backend(name):
                output = model(frames)
                error = (output.prediction[:, :-1] - frames[:, 1:]).square().sum((2, 3, 4)).mean()
                optimizer.zero_grad()
                (functional.cross_entropy(output.logits[:, -1], labels) + error).backward()
                optimizer.step()

        return run

    times = interleaved(benchmark, {"eager": step("reference"), "ours": step(backend)}, device)
    shape = f"{batch}x5x1x32x32" + ("" if layout == torch.contiguous_format else " channels_last")
    report(
        Measurement("RLadder training step", shape, "float32", "forward+backward", times["eager"], None, times["ours"])
    )
