"""`fastladder reproduce` and the results, runs and folders that are there already."""

import os
from dataclasses import replace

import pytest

from fastladder.experiments.registry import find_table
from fastladder.experiments.tables import Scale
from tests.experiments.command import Command
from tests.experiments.reproduce import tiny
from tests.experiments.reproduce.tiny import SHARED, TINY, asked, numbers, refusal


@pytest.mark.parametrize("content", ["", '{"table": "ti', "[1, 2]", '{"numbers": 3}'])
@pytest.mark.usefixtures("never_train")
def test_a_result_that_is_none(content, reproduce, capsys):
    reproduce.path().parent.mkdir(parents=True)
    reproduce.path().write_text(content)
    said = refusal(capsys, reproduce())
    assert str(reproduce.path()) in said
    assert reproduce.path().read_text() == content


def test_a_result_of_another_configuration(reproduce, pretended, monkeypatch, capsys):
    assert reproduce("--row=full") == 0
    before = reproduce.result()
    longer = {**SHARED, "trainer": {**SHARED["trainer"], "max_epochs": 4}}
    monkeypatch.setattr(tiny, "TINY", replace(find_table("tiny"), scales={"small": Scale("Longer.", longer)}))
    pretended.clear()
    said = refusal(capsys, reproduce())
    assert "another configuration" in said
    assert "trainer.max_epochs 3 there, 4 asked" in said
    assert not pretended
    assert reproduce.result() == before
    assert reproduce("--row=full", "--overwrite") == 0
    assert reproduce.result()["configuration"]["trainer"]["max_epochs"] == 4


def test_a_run_of_another_configuration(unbroken, reproduce, monkeypatch, capsys):
    reproduce.runs = unbroken.runs
    longer = {**SHARED, "trainer": {**SHARED["trainer"], "max_epochs": 4}}
    monkeypatch.setattr(tiny, "TINY", replace(TINY, scales={"small": Scale("Longer.", longer)}))
    said = refusal(capsys, reproduce("--row=full"))
    assert "last.ckpt: a checkpoint of another configuration (trainer.max_epochs 3 there, 4 asked)" in said
    assert not reproduce.path().exists()


def test_a_worse_informed_result_does_not_replace_a_better_informed_one(reproduce, epoch_takes, capsys):
    """As when the runs are lost, of which the results are still there."""
    epoch_takes(1)
    assert reproduce("--row=full", "--time-budget=3.5") == 0
    before = reproduce.result()
    os.rename(reproduce.runs, reproduce.folder / "lost")
    epoch_takes(4)
    said = refusal(capsys, reproduce("--row=full", "--time-budget=3.5"))
    assert "4 steps, better informed than that of 2" in said
    assert reproduce.result() == before


def test_overwrite_trains_all_over(unbroken, reproduce, epoch_takes):
    """A whole result is replaced by one of a single epoch: nothing of the old runs was gone on with."""
    assert reproduce("--row=full") == 0
    (reproduce.run("search").path / "old").touch()
    epoch_takes(4)
    assert reproduce("--row=full", "--time-budget=3.5", "--overwrite") == 0
    assert (reproduce.result()["complete"], reproduce.result()["steps"]) == (False, 2)
    assert not (reproduce.run("search").path / "old").exists()
    assert not reproduce.run("replay").path.exists()
    assert reproduce("--row=full") == 0
    assert numbers(reproduce.result()) == numbers(unbroken.result())


def test_overwrite_leaves_other_rows_alone(reproduce, pretended):
    assert reproduce() == 0
    before = reproduce.path("full").read_bytes()
    pretended.clear()
    assert reproduce("--row=encoder", "--overwrite") == 0
    assert asked(pretended) == [("encoder-0", 0)]
    assert reproduce.path("full").read_bytes() == before


def test_ctrl_c_with_overwrite_keeps_the_old_result(reproduce, pretended, monkeypatch, capsys):
    assert reproduce("--row=full") == 0
    before = reproduce.result()

    def interrupted(attempt):
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny, "TINY", replace(TINY, attempt=interrupted))
    assert reproduce("--row=full", "--overwrite") == 130
    assert "the same command starts all over" in capsys.readouterr().err
    assert reproduce.result() == before


def test_what_an_interrupted_write_left_does_no_harm(reproduce, pretended):
    scratch = reproduce.path().with_name(".full-0.json.1.partial")
    scratch.parent.mkdir(parents=True)
    scratch.write_text('{"table": "ti')
    os.utime(scratch, (0, 0))
    assert reproduce() == 0
    assert asked(pretended) == [("full-0", 0), ("encoder-0", 0)]
    assert not scratch.exists()


@pytest.mark.parametrize("place", ["results", "runs"])
@pytest.mark.usefixtures("never_train")
def test_a_folder_that_cannot_be_written_is_found_before_any_training(place, reproduce, capsys):
    (reproduce.folder / "file").write_text("mine")
    setattr(reproduce, place, reproduce.folder / "file")
    said = refusal(capsys, reproduce())
    assert "cannot be written" in said
    assert f"--{place}" in said
    assert (reproduce.folder / "file").read_text() == "mine"


def test_a_report_that_cannot_be_written_loses_no_result(reproduce, pretended, capsys):
    reproduce.report = reproduce.folder
    assert "--report" in refusal(capsys, reproduce("--row=full"))
    assert reproduce.path().exists()


@pytest.mark.usefixtures("never_train")
def test_mnist_that_is_not_there(reproduce, capsys):
    places = [f"--data-dir={reproduce.folder / 'absent'}", "--scale=paper", "--row=rladder"]
    assert str(reproduce.folder / "absent") in refusal(capsys, Command(reproduce.folder, "rladder-table1")(*places))


@pytest.mark.usefixtures("never_train")
def test_too_few_labels_for_a_balanced_draw(reproduce, monkeypatch, capsys):
    few = {**SHARED, "data": {**SHARED["data"], "labels": 15}}
    monkeypatch.setattr(tiny, "TINY", replace(TINY, scales={"small": Scale("Few labels.", few)}))
    assert "labels" in refusal(capsys, reproduce())
    assert not reproduce.path().exists()
