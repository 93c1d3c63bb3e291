"""Where the time of a training step goes, by operator: one network of each kind, at its first size."""

import pytest

from bench import bench_lstm
from bench.bench_conv_lstm import FIRST, conv_lstm_step
from bench.bench_rladder import MUSIC, OCCLUDED_DIGITS, music_step, occluded_digits_step
from bench.profiles import profile_step

STEPS = {
    "ConvLSTM": lambda *where: conv_lstm_step(FIRST, *where),
    "LSTM": lambda *where: bench_lstm.lstm_step(bench_lstm.SIZES[0], "none", *where),
    "RLadder of Table 5": lambda *where: occluded_digits_step(OCCLUDED_DIGITS[0], *where),
    "RLadder of Table 8": lambda *where: music_step(MUSIC[0], *where),
}


@pytest.mark.parametrize("variant", ["ours", "ours bfloat16"])
@pytest.mark.parametrize("network", STEPS)
def test_profile(report, backend, device, network, variant):
    report(profile_step(STEPS[network](backend, device), variant, device))
