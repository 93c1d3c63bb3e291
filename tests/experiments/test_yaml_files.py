"""What is wrong with a YAML file is said with its file and line."""

import pytest

from fastladder.cli import main
from fastladder.experiments.configuration import make_parser, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.yaml_files import read_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 0\nmodel: [\n", ":3: not sound YAML"),
        ("seed: 0\n\tmodel: 3\n", ":2: not sound YAML"),
        ("seed: 0\ndata: *unknown\n", ":2: not sound YAML (found undefined alias"),
        ("seed: 0\n--- \nseed: 1\n", ":2: not sound YAML"),
        ("seed: 0\nmodel: {}\nseed: 0\n", ":3: 'seed' is there twice, first in line 1"),
        (
            "model:\n  predict: true\n  widths:\n    low: 4\n    low: 4\n",
            ":5: 'model.widths.low' is there twice, first in line 4",
        ),
        ("model: {predict: true, 'predict': true}", ":1: 'model.predict' is there twice, first in line 1"),
        ("model:\n- a: 1\n  a: 2\n", ":3: 'model.0.a' is there twice, first in line 2"),
        ("- seed\n", ":1: got a sequence, needs lines of the form key: value"),
        ("seed", ":1: got a scalar, needs"),
        ("", ":1: got nothing, needs"),
        ("seed: \x01", ": not sound YAML"),
        (b"seed: \xff", ": not sound YAML"),
        ("seed: 0\nmodel: 3\n", ":2: model: got 3, needs a section"),
        ("data: [1, 2]\n", ":1: data: got [1, 2], needs a section"),
        ("seed: 0\ndata:\n", ":2: data: got None, needs a section"),
        ("model:\n  netwrk: small\n", ":2: model.netwrk: is no option"),
        ("seed: 0\nmodels: {network: small}\n", ":2: models: is no option"),
        ("trainer:\n  callbacks: []\n", ":2: trainer.callbacks: is no option"),
        ("model.network.x: 3\n", ":1: model.network.x: is no option"),
        ("config: other.yaml\n", ":1: config: is no option"),
        ("model: {}\nseed: x\n", ":2: seed: Expected a <class 'int'>. Got value: x"),
        ("model:\n  network: huge\n", ":2: model.network: Expected"),
        ("model:\n  widths: {low: x}\n", ":2: model.widths: Does not validate"),
        ("trainer:\n  limit_val_batches: 0\n", ":2: trainer.limit_val_batches: got 0, needs more than 0"),
        ("trainer:\n  precision: 7\n", ":2: trainer.precision: Does not validate"),
        ("model: &x {init: ladder}\ndata: *x\n", ":1: data.init: is no option"),
        ("seed: 0\n3: 4\n", ":2: got the key 3, needs a name"),
        ("model:\n  widths: {3: 4}\n", ":2: got the key 3, needs a name"),
        ("data.batch_size: 30\ndata: {batch_size: 40}\n", ":2: 'data.batch_size' is there twice, first in line 1"),
        ("data: {batch_size: 40}\ndata.batch_size: 30\n", ":2: 'data.batch_size' is there twice, first in line 1"),
        ("seed: 0\nmodel:\n  learning_rate: 0\n", ":3: learning_rate: got 0.0, needs a number above 0"),
        ("data:\n  batch_size: 1\n", ":2: batch_size: got 1, needs 2 or more"),
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
    assert read_yaml(path).content == {"a": {"low": 4}, "b": {"low": 4}, "c": [{"low": 1}, {"low": 2}]}
    path.write_text("a: &x\n  b: *x\n")  # in itself
    assert list(read_yaml(path).content) == ["a"]


def test_a_value_that_the_command_line_overrides_is_not_the_files(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("model: {learning_rate: 0}\n")
    assert main(["train", f"--config={tmp_path / 'mine.yaml'}", "--model.learning_rate=-1"]) == 2
    assert capsys.readouterr().err == "fastladder: learning_rate: got -1.0, needs a number above 0\n"


def test_an_option_of_before_may_still_be_in_a_file(tmp_path):
    """As it is in the config.yaml of every run from before."""
    for text in ("trainer: {log_every_n_steps: 50, max_epochs: 7}", "trainer.log_every_n_steps: 50\nseed: 7\n"):
        (tmp_path / "config.yaml").write_text(text)
        options = parse(make_parser("train", "", MOVING_DIGITS), [f"--config={tmp_path / 'config.yaml'}"])
        assert "log_every_n_steps" not in options.trainer
        assert 7 in (options.seed, options.trainer.max_epochs)


def test_what_is_not_there_or_of_another_experiment(tmp_path, capsys):
    with pytest.raises(RunError, match=r"absent.yaml: cannot be read \(No such file or directory\)"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "config.yaml").write_text("experiment: grouping\nseed: 0\ndata: {dataset: shapes}\n")
    assert main(["train", f"--config={tmp_path / 'config.yaml'}"]) == 2
    said = capsys.readouterr().err
    assert "config.yaml: is of the experiment grouping, needs one of occluded_moving_digits" in said
