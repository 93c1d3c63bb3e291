"""The table of polyphonic music through `fastladder reproduce`, in miniature, and `fastladder train`."""

from dataclasses import replace

import pytest
import torch

from fastladder.cli import main
from fastladder.data import made_up_tunes
from fastladder.experiments import load
from fastladder.experiments.music.data import MusicData
from fastladder.experiments.music.networks import NextStep
from fastladder.experiments.music.tables import MUSIC_FRAMES, RLADDER_MUSIC, VRAE_MUSIC
from fastladder.experiments.registry import TABLES, Place, paper_numbers
from fastladder.experiments.tables import Scale
from fastladder.experiments.training import read_checkpoint
from tests.experiments.command import Command, evaluate_and_load

TINY = replace(
    RLADDER_MUSIC,
    name="tiny-music",
    rows=(RLADDER_MUSIC.row("jsb-gru"),),
    scales={
        "small": Scale(
            "made-up tunes",
            {
                "data": {"collection": "tunes", "batch_size": 30, "steps": 20},
                "model": {"network": "gru", "options": {"hidden_size": 16}, "learning_rate": 0.02},
                "trainer": {"max_epochs": 3, "accelerator": "cpu"},
            },
        )
    },
)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-music", Place(__name__, "TINY"))
        yield


def test_a_row_finds_when_to_stop_and_trains_on_all_but_the_test(tmp_path):
    command = Command(tmp_path, "tiny-music")
    assert command() == 0
    stored = command.result("jsb-gru")
    assert stored["test"]["nll"] < 10  # of the frequencies of keys alone it is some 11
    search, replay = (read_checkpoint(command.run("jsb-gru", phase).last) for phase in ("search", "replay"))
    costs = [epoch["valid/cost"] for epoch in search["fastladder"]["history"]]
    best = costs.index(min(costs)) + 1
    assert replay["fastladder"]["configuration"]["data"]["join_validation"]
    assert replay["fastladder"]["configuration"]["trainer"]["max_epochs"] == best
    scores, network = evaluate_and_load(command.run("jsb-gru", "replay").path)
    assert scores == stored["test"]
    assert isinstance(network, NextStep)


def test_the_search_stops_where_it_was_best(tmp_path):
    """A rate that is far too high: the first epoch is the best."""
    shared = TINY.scales["small"].shared
    wild = {**shared, "model": {**shared["model"], "learning_rate": 0.02, "schedule": [0.02, 10.0, 10.0]}}
    table = replace(TINY, scales={"small": Scale("wild", wild)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.TINY", table)
        command = Command(tmp_path, "tiny-music")
        assert command() == 0
    assert len(read_checkpoint(command.run("jsb-gru", "search").last)["fastladder"]["history"]) == 3
    assert len(read_checkpoint(command.run("jsb-gru", "replay").last)["fastladder"]["history"]) == 1


def test_the_validation_set_can_be_learnt_from_too():
    alone, joined = MusicData(), MusicData(join_validation=True)
    tunes = made_up_tunes()
    assert (len(alone.pieces.train), len(joined.pieces.train)) == (120, 160)
    assert joined.pieces.train.rolls[120].equal(tunes.valid.rolls[0])
    assert alone.fingerprints()["test"] == joined.fingerprints()["test"] == tunes.test.fingerprint()


def test_evaluation_is_of_whole_pieces_and_training_of_chunks():
    data = MusicData(batch_size=40, steps=10)
    assert {batch.rolls.shape[1] for batch in data.train_dataloader()} <= {10, 4}
    for loader in (data.val_dataloader(), data.test_dataloader()):
        assert all(batch.begins.all() and batch.rolls.shape[1] == 64 for batch in loader)


def test_every_epoch_has_its_own_order():
    data = MusicData(batch_size=40)
    first, again = (next(iter(data.train_dataloader())).rolls for _ in range(2))
    assert first.equal(again)
    other = next(iter(MusicData(batch_size=40, seed=1).train_dataloader())).rolls
    assert not first.equal(other)


@pytest.mark.parametrize("table", [RLADDER_MUSIC, MUSIC_FRAMES, VRAE_MUSIC], ids=lambda table: table.name)
def test_every_row_has_a_configuration_that_builds_what_it_is_called(table):
    torch.manual_seed(0)
    for scale in table.scales:
        sizes = {}
        for row in table.rows:
            configuration = table.configuration(row, scale, 0)
            collection, system = row.name.split("-", 1)
            data, model = configuration["data"], configuration["model"]
            network, _, variant = system.removeprefix("fd-").partition("-")
            assert model["network"] == ("fd-rnn" if system == "fd-rnn" else network)
            options = model.get("options", {})
            assert variant in ("", options.get("posterior"), options.get("kl"))
            assert collection in (data["collection"], data.get("frame"))
            if collection == "piano" or table is MUSIC_FRAMES:
                task = table.experiment.task(configuration)
                sizes[system] = sum(parameter.numel() for parameter in task.parameters())
        if table is not VRAE_MUSIC:
            assert max(sizes.values()) < 1.02 * min(sizes.values())  # "of equal size"


@pytest.mark.parametrize("network", ["vosp", "vrae", "fd-rnn"])
def test_rows_with_fast_dropout_learn_and_are_evaluated(tmp_path, network):
    shared = TINY.scales["small"].shared
    options = {"hidden_size": 8} if network == "fd-rnn" else {"hidden_size": 8, "latent_size": 2}
    model = {"network": network, "options": options, "optimizer": "rmsprop", "learning_rate": 0.003}
    trainer = {**shared["trainer"], "max_epochs": 1, "gradient_clip_val": 225.0}
    model |= {} if network == "fd-rnn" else {"importance_samples": 2}
    scale = Scale("small ones", {**shared, "model": model, "trainer": trainer})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.TINY", replace(TINY, scales={"small": scale}))
        command = Command(tmp_path, "tiny-music")
        assert command() == 0
    stored = command.result("jsb-gru")["test"]
    assert stored["nll"] < 30
    assert ("nll_importance" in stored) == (network != "fd-rnn")
    scores, _ = evaluate_and_load(command.run("jsb-gru", "replay").path)
    assert scores == stored


def test_the_paper_has_a_number_for_every_collection():
    assert {row: cells["nll"][0] for row, cells in paper_numbers("rladder-music").items() if "rladder" in row} == {
        "piano-rladder": 6.19,
        "nottingham-rladder": 2.42,
        "muse-rladder": 5.69,
        "jsb-rladder": 5.64,
    }


def test_train_learns_tunes_without_any_file(tmp_path, capsys):
    run = tmp_path / "run"
    options = ["--experiment=music", f"--run={run}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    assert main(["train", *options, "--model.options={hidden_size: 8}"]) == 0
    assert isinstance(load(run), NextStep)
    assert "fastladder evaluate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data-dir=."], "--data-dir: has no effect with data.collection 'tunes', which a program makes up"),
        (["--download"], "--download: has no effect with data.collection 'tunes'"),
        (
            ["--data.collection=jsb", "--download"],
            "--download: this data cannot be fetched",
        ),
        (["--data.collection=jazz"], "data.collection"),
        (["--data.frame=eighth"], "frame: got 'eighth', needs 'own' for the collection 'tunes'"),
        (["--data.batch_size=0"], "batch_size: got 0, needs 1 or more"),
        (["--data.steps=0"], "steps: got 0, needs 1 or more"),
        (
            ["--model.network=rladder", "--model.options={hidden_size: 3}"],
            "options: got {'hidden_size': 3} for",
        ),
        (["--model.network=vosp", "--model.options={posterior: wild}"], "posterior: got 'wild'"),
        (["--model.network=vrae", "--model.options={latent_size: 0}"], "latent_size: got 0"),
        (["--model.momentum=0.5"], "--model.momentum: has no effect, needs --model.optimizer rmsprop"),
        (["--model.optimizer=rmsprop", "--model.momentum=1"], "momentum: got 1.0, needs 0 or more and less than 1"),
        (["--model.importance_samples=3"], "--model.importance_samples: has no effect, needs --model.network vrae or"),
        (["--model.network=vrae", "--model.importance_samples=0"], "importance_samples: got 0, needs 1 or more"),
        (["--model.schedule=[0.1]", "--model.learning_rate=0.1"], "--model.learning_rate: has no effect"),
        (["--model.least_learning_rate=0"], "least_learning_rate: got 0.0, needs a number above 0"),
        (["--experiment=shapes"], "experiment: shapes is trained by `fastladder reproduce` only"),
        (["--experiment=jazz"], "experiment: got 'jazz', needs one of"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.delenv("FASTLADDER_DATA", raising=False)
    run = tmp_path / "run"
    assert main(["train", "--experiment=music", f"--run={run}", *options]) == 2
    assert words in capsys.readouterr().err
    assert not run.exists()
