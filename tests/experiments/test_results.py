import json
import math
import os
from dataclasses import replace

import pytest

from fastladder.experiments.errors import RunError
from fastladder.experiments.results import (
    Result,
    check_configuration,
    mean_and_deviation,
    read_result,
    result_path,
    write_result,
)

RESULT = Result(
    table="tiny",
    row="full",
    scale="small",
    seed=3,
    complete=True,
    steps=12,
    seconds=1.5,
    test={"classification_error": 90.0},
    learning_rates=[0.1, 0.05],
    configuration={"seed": 3, "model": {"network": "small"}, "trainer": {"max_epochs": 2, "accelerator": "cpu"}},
    data={"train": "1", "valid": "2", "test": "3"},
    environment={"device": "an abacus"},
)


@pytest.fixture
def path(tmp_path):
    return result_path(tmp_path, "tiny", "small", "full", 3)


def test_a_result_is_read_as_it_was_written(path, tmp_path):
    assert read_result(path) is None
    write_result(path, RESULT)
    assert read_result(path) == RESULT
    assert path == tmp_path / "tiny" / "small" / "full-3.json"
    assert [file.name for file in path.parent.iterdir()] == ["full-3.json"]


def test_a_result_from_before_there_were_caveats_has_none(path):
    write_result(path, RESULT)
    content = json.loads(path.read_text())
    del content["caveat"]
    path.write_text(json.dumps(content))
    assert read_result(path) == RESULT


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'{"table": "tiny"}', b"\xff\xfe", json.dumps({"extra": 1, **vars(RESULT)}).encode()],
)
def test_a_file_that_holds_no_result_is_refused_and_left_alone(content, path):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for refused in (lambda: read_result(path), lambda: write_result(path, RESULT)):
        with pytest.raises(RunError, match="remove it to have the row trained again") as error:
            refused()
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)
    assert path.read_bytes() == content
    write_result(path, RESULT, overwrite=True)
    assert read_result(path) == RESULT


def test_a_result_cut_off_in_the_middle_is_refused(path):
    write_result(path, RESULT)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="not a sound result"):
        read_result(path)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        pytest.param({"complete": True, "steps": 12}, {"complete": True, "steps": 11}, id="fewer steps"),
        pytest.param({"complete": False, "steps": 12}, {"complete": False, "steps": 11}, id="fewer, both incomplete"),
        pytest.param({"complete": True, "steps": 12}, {"complete": False, "steps": 99}, id="incomplete"),
    ],
)
def test_a_worse_informed_result_replaces_a_better_informed_one_only_when_asked(there, here, path):
    better, worse = replace(RESULT, **there), replace(RESULT, **here)
    write_result(path, better)
    with pytest.raises(RunError, match=r"better informed.*--overwrite"):
        write_result(path, worse)
    assert read_result(path) == better
    write_result(path, worse, overwrite=True)
    assert read_result(path) == worse
    write_result(path, better)
    assert read_result(path) == better


def test_a_result_of_another_configuration_is_replaced_only_when_asked(path):
    other = replace(RESULT, configuration={**RESULT.configuration, "model": {"network": "table5"}}, steps=99)
    write_result(path, RESULT)
    with pytest.raises(RunError, match=r"model.network 'small' there, 'table5' asked.*--overwrite"):
        write_result(path, other)
    assert read_result(path) == RESULT
    write_result(path, other, overwrite=True)
    assert read_result(path) == other


def test_where_a_run_was_done_is_no_part_of_its_configuration():
    asked = {**RESULT.configuration, "trainer": {"max_epochs": 2, "accelerator": "gpu", "devices": 2}}
    check_configuration(RESULT, "here", asked)
    with pytest.raises(RunError, match="seed 3 there, 4 asked"):
        check_configuration(RESULT, "here", {**asked, "seed": 4})


def test_an_interrupted_write_leaves_the_old_result(path, monkeypatch):
    write_result(path, RESULT)
    better = replace(RESULT, steps=99)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_result(path, better)
    assert read_result(path) == RESULT
    assert list(path.parent.iterdir()) == [path]
    write_result(path, better)
    assert read_result(path) == better
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=r"cannot be written .*--results"):
        write_result(result_path(tmp_path / "file", "tiny", "small", "full", 3), RESULT)
    assert (tmp_path / "file").read_text() == "mine"


def test_mean_and_deviation_by_hand():
    mean, deviation = mean_and_deviation([1.0, 2.0, 6.0])
    assert mean == pytest.approx(3.0)
    assert deviation == pytest.approx(math.sqrt((4 + 1 + 9) / 2))  # of the sample: over n - 1
    assert mean_and_deviation([7.0]) == (7.0, None)
