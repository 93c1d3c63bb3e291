"""Every bench of a training step runs, in a tiny size, and its variants are the same step."""

import json

import pytest
import torch

from bench import bench_conv_lstm, bench_encoder_decoder, bench_lstm, bench_rladder, harness
from bench.bench_profile import STEPS
from bench.profiles import profile_step
from bench.report import print_tables, write_files
from bench.training_steps import is_bfloat16, measure
from fastladder import info

CPU = torch.device("cpu")
TINY = {
    "ConvLSTM": lambda: bench_conv_lstm.conv_lstm_step(bench_conv_lstm.Size(2, 1, 2, 12, 2), "auto", CPU),
    "encoder-decoder": lambda: bench_encoder_decoder.encoder_decoder_step(
        bench_encoder_decoder.Size(1, 2, 2, 2, 32), "auto", CPU
    ),
    "LSTM": lambda: bench_lstm.lstm_step(bench_lstm.Size(2, 2), "none", "auto", CPU),
    "LSTM with layer norm": lambda: bench_lstm.lstm_step(bench_lstm.Size(2, 2), "layer", "auto", CPU),
    "RLadder of Table 5": lambda: bench_rladder.occluded_digits_step(bench_rladder.Size(2, 2), "auto", CPU),
    "RLadder of Table 8": lambda: bench_rladder.music_step(bench_rladder.Size(4, 4), "auto", CPU),
}


class Once:
    """In the place of pytest-benchmark: runs a single round."""

    def pedantic(self, run, setup, rounds):
        setup()
        run()


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: network)
    monkeypatch.setattr(harness, "WARMUP", 1)


@pytest.mark.parametrize("network", TINY)
def test_every_variant_is_measured_and_written(network, tmp_path, capsys):
    step = TINY[network]()
    row = measure(Once(), step, "user", CPU)
    assert row.network == network
    assert row.milliseconds.keys() == row.saved.keys() == row.peak.keys() == step.variants.keys()
    assert row.saved["ours"] > 0
    if network != "LSTM":  # which keeps both projections of every step rather than computing them again
        assert row.saved["ours"] < row.saved["eager"]
    print_tables([row])
    assert network in capsys.readouterr().out
    (path,) = write_files({"bench_network": [row]}, tmp_path, "cpu", "auto")
    assert path.name == "network.json"
    written = json.loads(path.read_text())
    assert written["training_steps"] == [json.loads(json.dumps(row.record()))]
    assert written.keys() > {"commit", "device", "versions", "options"}


def is_another_network(network: str, variant: str) -> bool:
    """Whether it has no norm where ours has one."""
    return network == "LSTM with layer norm" and "torch.nn" in variant


@pytest.mark.parametrize("network", TINY)
def test_variants_have_the_same_loss(network):
    step = TINY[network]()
    ours = step.variants["ours"].forward(step.data).item()
    for name, variant in step.variants.items():
        if not is_another_network(network, name):
            assert variant.forward(step.data).item() == pytest.approx(ours, rel=2e-2 if is_bfloat16(name) else 1e-4)


def test_profile_names_operators(tmp_path, capsys):
    profile = profile_step(TINY["ConvLSTM"](), "ours", CPU)
    operators = {entry["operator"]: entry for entry in profile["operators"]}
    assert operators["fastladder::lstm_gates"]["calls"] == 4  # two layers, two time steps
    assert sum(entry["share"] for entry in operators.values()) == pytest.approx(1)
    print_tables([profile])
    assert "fastladder::lstm_gates" in capsys.readouterr().out
    (path,) = write_files({"bench_profile": [profile]}, tmp_path, "cpu", "auto")
    assert json.loads(path.read_text())["profiles"] == [profile]


def test_profiles_are_of_networks_that_are_measured():
    assert STEPS.keys() <= TINY.keys()


def test_each_file_of_the_bench_has_a_file_of_results(monkeypatch, tmp_path):
    monkeypatch.setattr(info, "cpu_name", lambda: "An Abacus (TM)")
    first, second = {"network": "a network"}, {"network": "another"}
    paths = write_files({"bench_lstm": [first], "bench_profile": [second]}, tmp_path, "cpu", "native")
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "an-abacus-tm-native/lstm.json",
        "an-abacus-tm-native/profile.json",
    ]
    assert [json.loads(path.read_text())["profiles"] for path in paths] == [[first], [second]]
    (path,) = write_files({"bench_lstm": [second]}, tmp_path, "cpu", "native")
    assert json.loads(path.read_text())["profiles"] == [second]  # the measurement before is replaced
    assert paths[1].exists()
