"""What is said of memory is what a call takes."""

import sys
import weakref

import pytest
import torch

from bench.memory import peak_bytes, saved_bytes

MIB = 2**20
CPU = torch.device("cpu")


def test_saved_bytes_leave_out_inputs_and_what_is_held_anyway():
    weight = torch.rand(4, 4, requires_grad=True)
    x = torch.rand(3, 4)
    assert saved_bytes(lambda x: (x @ weight).tanh(), [x]) == weight.nbytes + x.nbytes  # tanh keeps its output
    assert saved_bytes(lambda x: (x @ weight).tanh(), [x], [weight]) == x.nbytes
    assert saved_bytes(lambda: (x @ weight).tanh(), [], [weight]) == 2 * x.nbytes


@pytest.mark.skipif(sys.platform != "linux", reason="resident sets are read from Linux")
def test_peak_is_the_most_that_is_held_at_once():
    def run(count):
        for _ in range(3):
            parts = [torch.ones(8 * MIB) for _ in range(count)]
            del parts

    run(4)  # memory that the process keeps must not hide the peak
    least = [peak_bytes(lambda count=count: run(count), CPU) / (32 * MIB) for count in (1, 4)]
    assert least == pytest.approx([1, 4], abs=0.2)


def test_nothing_is_held_once_the_bytes_are_counted():
    x = torch.rand(4)
    outputs = []

    def call(x):
        outputs.append(weakref.ref(y := x.exp()))  # which its own backward pass needs
        return y

    saved_bytes(call, [x])
    assert outputs[0]() is None
