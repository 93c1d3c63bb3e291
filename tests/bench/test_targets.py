"""The verdict on a measurement."""

import pytest

from bench.targets import verdict
from bench.training_steps import StepMeasurement


@pytest.mark.parametrize(
    ("comparisons", "expected"),
    [
        ([(3.1, 3.0), (1.0, 1.0)], "met"),
        ([(0.95, 1 / 1.1), (2.0, 1.0)], "met, slower"),
        ([(2.9, 3.0), (1.0, 1.0)], "below target"),
        ([(3.1, 3.0), (0.9, 1.0)], "SLOWER"),
    ],
)
def test_verdict(comparisons, expected):
    assert verdict(comparisons) == expected


def test_variants_of_one_dtype_are_compared_and_what_targets_name():
    milliseconds = {"popular": 14.0, "compiled": 11.0, "ours": 10.0, "popular bfloat16": 5.0, "ours bfloat16": 7.0}
    nothing = dict.fromkeys(milliseconds, 0)
    measured = StepMeasurement("ConvLSTM", "small", "user", milliseconds, nothing, nothing)
    assert measured.verdict("ours") == "met"
    assert measured.verdict("ours bfloat16") == "SLOWER"  # than the popular one in bfloat16; and 2.0 is below 2.2
    milliseconds |= {"popular bfloat16": 9.0, "compiled": 9.0}
    assert measured.verdict("ours bfloat16") == "below target"
    assert measured.verdict("ours") == "SLOWER"
    assert measured.record()["ratios"]["ours"]["popular"] == pytest.approx(1.4)
