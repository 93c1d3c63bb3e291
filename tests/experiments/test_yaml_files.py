"""What is wrong with a YAML file is said with its file and line."""

import pytest

from fastladder.cli import main
from fastladder.experiments.errors import RunError
from fastladder.experiments.yaml_files import read_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 0\nmodel: [\n", ":3: not sound YAML"),
        ("seed: 0\n\tmodel: 3\n", ":2: not sound YAML"),
        ("seed: 0\ndata: *unknown\n", ":2: not sound YAML (found undefined alias"),
        ("seed: 0\n--- \nseed: 1\n", ":2: not sound YAML"),
        ("seed: 0\nmodel: {}\nseed: 0\n", ":3: 'seed' is there twice, first in line 1"),
        ("model:\n  predict: true\n  widths:\n    low: 4\n    low: 4\n", ":5: 'low' is there twice, first in line 4"),
        ("model: {predict: true, 'predict': true}", ":1: 'predict' is there twice, first in line 1"),
        ("model:\n- a: 1\n  a: 2\n", ":3: 'a' is there twice, first in line 2"),
        ("- seed\n", ":1: got a sequence, needs lines of the form key: value"),
        ("seed", ":1: got a scalar, needs"),
        ("", ":1: got nothing, needs"),
        ("seed: \x01", ": not sound YAML"),
        (b"seed: \xff", ": not sound YAML"),
        ("? {a: 1}\n: 2\n", ":1: not sound YAML"),
    ],
)
@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_configuration_that_is_refused(command, text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main([command, "--config=mine.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fastladder: mine.yaml{said}")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_sound_file_is_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &x {low: 4}\nb: *x\nc:\n- {low: 1}\n- {low: 2}\n")
    assert read_yaml(path) == {"a": {"low": 4}, "b": {"low": 4}, "c": [{"low": 1}, {"low": 2}]}
    path.write_text("a: &x\n  b: *x\n")  # in itself
    assert list(read_yaml(path)) == ["a"]


def test_what_is_not_there_or_of_another_experiment(tmp_path, capsys):
    with pytest.raises(RunError, match=r"absent.yaml: cannot be read \(No such file or directory\)"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "config.yaml").write_text("experiment: grouping\nseed: 0\ndata: {dataset: shapes}\n")
    assert main(["train", f"--config={tmp_path / 'config.yaml'}"]) == 2
    said = capsys.readouterr().err
    assert "config.yaml: is of the experiment grouping, needs one of occluded_moving_digits" in said
