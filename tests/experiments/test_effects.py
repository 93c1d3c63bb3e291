"""An option that has no effect is an error that says what would give it one."""

import pytest
from lightning.pytorch import Trainer

from fastladder.cli import main
from fastladder.experiments.configuration import make_parser, parse
from fastladder.experiments.effects import OF_TRAINER, given_options
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS, VOIDS


@pytest.fixture(autouse=True)
def _never_train(monkeypatch):
    monkeypatch.setattr(Trainer, "fit", lambda *arguments, **options: pytest.fail("the training began"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--data-dir=X"], "--data-dir: has no effect with data.source 'bundled', only with 'mnist'"),
        (["train", "--download"], "--download: has no effect with data.source 'bundled', only with 'mnist'"),
        (["demo", "--data-dir", "X"], "--data-dir: has no effect with data.source 'bundled'"),
        (["reproduce", "rladder-table1", "--data-dir=X"], "--data-dir: has no effect with data.source 'bundled'"),
        (["reproduce", "tagger-table1", "--download"], "--download: has no effect with data.dataset 'shapes'"),
        (["reproduce", "tagger-transfer", "--scale=paper", "--data-dir=X"], "with data.dataset 'shapes'"),
        (["reproduce", "tagger-table2-textures1", "--data-dir=X"], "with data.source 'bundled'"),
        (["reproduce", "rtagger-textures", "--data-dir=X"], "with data.source 'bundled'"),
        (["reproduce", "ladder-mnist", "--data-dir=X"], "with data.source 'bundled'"),
        (["train", "--model.consistency_weight=3"], "--model.consistency_weight: has no effect, needs --model.teacher"),
        (["demo", "--model.least_learning_rate", "1"], "has no effect, needs --model.schedule halving"),
        (["train", "--model.schedule=[0.1]", "--model.learning_rate=1"], "--model.learning_rate: has no effect"),
        (["train", "--model.decoder=false", "--model.feedback=true"], "needs --model.decoder true"),
        (
            ["train", "--model.decoder=false", "--model={init: ladder}"],
            "--model.init: has no effect, needs --model.dec",
        ),
        (["train", "--model", "{decoder: false, alignment: same}"], "--model.alignment: has no effect, needs"),
        (["train", "--trainer.log_every_n_steps=3"], "--trainer.log_every_n_steps"),
        (["train", "--model.predict=false", "--model.prediction_weight=1"], "--model.prediction_weight: has no effect"),
        (
            ["train", "--trainer.gradient_clip_val=null", "--trainer.gradient_clip_algorithm=norm"],
            "needs --trainer.gradient_clip_val",
        ),
        (["train", "--model.consistency_w=3"], "--model.consistency_w=3"),  # not taken for an abbreviation
        (["train", "--experiment=grouping"], "experiment: got 'grouping', needs one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_without_effect(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_table_that_needs_no_mnist_keeps_its_runs(tmp_path, monkeypatch):
    """Even where all of it was to be trained anew."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "reproduce" / "tagger-table1" / "small" / "layer-0" / "last.ckpt"
    run.parent.mkdir(parents=True)
    run.write_text("mine")
    assert main(["reproduce", "tagger-table1", "--overwrite", "--data-dir=X"]) == 2
    assert run.read_text() == "mine"


def test_a_file_may_hold_what_an_option_makes_void(monkeypatch, tmp_path, capsys):
    """As a stored configuration holds everything."""
    (tmp_path / "mine.yaml").write_text("model: {consistency_weight: 3, prediction_weight: 2, predict: false}")
    began = []
    monkeypatch.setattr(Trainer, "fit", lambda *arguments, **options: began.append(True))
    main(["train", f"--config={tmp_path / 'mine.yaml'}", f"--run={tmp_path / 'run'}"])
    assert began == [True], capsys.readouterr().err


def test_every_option_is_one_and_is_not_void_by_default():
    parser = make_parser("train", "", MOVING_DIGITS)
    for void in (*VOIDS, *OF_TRAINER):
        assert all(option in parser.format_help() for option in void.options)
    options = parse(parser, ["--model.schedule=halving", "--model.teacher_decay=0.9"])
    assert not any(void.without_effect(options) for void in (*VOIDS, *OF_TRAINER))


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ([], set()),
        (["--resume"], {"--resume"}),
        (
            ["--model", "{init: ladder}", "--data={source: mnist}"],
            {"--model", "--model.init", "{init: ladder}", "--data", "--data.source"},
        ),
    ],
)
def test_the_options_that_were_given(arguments, given):
    assert given_options(arguments) == given


@pytest.mark.parametrize("command", ["demo", "train"])
def test_a_command_needs_no_options(command, monkeypatch, tmp_path):
    """As `make demo` calls it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "fit", lambda *arguments, **options: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main([command]) == 130
