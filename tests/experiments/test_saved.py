"""Runs in Python: `fastladder.experiments.load`. The tables' own tests load the runs that they train."""

import pytest
import torch

from fastladder.cli import main
from fastladder.data import Digits, Splits
from fastladder.experiments import load
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Experiment
from fastladder.experiments.registry import EXPERIMENTS, TRAINED, experiment_of_record, find_experiment
from fastladder.experiments.saved import read_run
from fastladder.experiments.training import read_checkpoint

SMALL = {"sizes": [10, 10, 10], "batch_size": 10}
WIDTHS = {"widths": [12, 8, 6]}
# What is loaded: its experiment, and what is of its configuration beside the source of the digits.
CASES = {
    "RLadder": (
        "occluded_moving_digits",
        {"data": {}, "model": {"network": "small", "widths": {"low": 4, "high": 4, "units": 4}}},
    ),
    "LadderNetwork": (
        "few_labels",
        {"data": SMALL, "model": {"network": "small-mlp", "weights": [1.0] * 6, "noise": [0.2] * 6}, "optimizer": {}},
    ),
    "Tagger": ("textured_digits_grouping", {"data": {**SMALL, "dataset": "textures2"}, "model": WIDTHS}),
    "Sequential": (
        "textured_digits",
        {"data": {**SMALL, "dataset": "textures1"}, "model": {"classifier": "mlp", **WIDTHS}, "optimizer": {}},
    ),
}
EVERY = [(kind, source) for kind in CASES for source in ("bundled", "mnist")]


def case(kind, source):
    """An experiment and a configuration of it."""
    name, sections = CASES[kind]
    return find_experiment(name), {"seed": 0, **sections, "data": {**sections["data"], "source": source}}


@pytest.fixture
def save(tmp_path):
    """Stores a checkpoint of a network with its initial weights, and returns these."""

    def checkpoint(kind, source="bundled"):
        experiment, configuration = case(kind, source)
        task = experiment.task(configuration)
        record = {"experiment": experiment.name, "configuration": configuration, "history": []}
        torch.save({"state_dict": task.state_dict(), RECORD: record}, tmp_path / "last.ckpt")
        return task.evaluated.state_dict()

    return checkpoint


@pytest.fixture
def change(tmp_path):
    """Changes the record of a checkpoint."""

    def rewrite(edit):
        checkpoint = read_checkpoint(tmp_path / "last.ckpt")
        edit(checkpoint[RECORD])
        torch.save(checkpoint, tmp_path / "last.ckpt")

    return rewrite


@pytest.fixture(scope="module")
def taught(tiny, tmp_path_factory):
    """A run with a Mean Teacher, whose last epoch is not its best."""
    folder = tmp_path_factory.mktemp("taught")
    assert main(["train", *tiny, "--model.teacher_decay=0.5", f"--run={folder}"]) == 0
    return folder


def test_the_lists_of_experiments_are_whole():
    # Shapes are an experiment as textured digits without labels are, without a source of digits. Runs of the others are
    # evaluated and loaded in the tests of their families.
    others = {"shapes", "music", "latent_images", "moving_digits"}
    assert {name for name, _ in CASES.values()} | others == set(EXPERIMENTS)
    assert all(find_experiment(name).name == name for name in EXPERIMENTS)
    assert {name for name in EXPERIMENTS if find_experiment(name).options} == set(TRAINED)


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_the_network_of_a_mean_teacher_is_loaded_ready_for_use(name, taught):
    network = load(taught / name)
    assert not any(module.training for module in network.modules())
    state = read_checkpoint(taught / name)["state_dict"]
    loaded = network.state_dict()
    assert all(torch.equal(value, state[f"teacher.module.{key}"]) for key, value in loaded.items())
    assert any(not torch.equal(value, state[f"network.{key}"]) for key, value in loaded.items())
    assert network(torch.rand(2, 5, 1, 20, 20)).logits.shape == (2, 5, 10)


def test_a_folder_is_its_best_checkpoint_or_its_last_one(taught, save, tmp_path):
    best, of_folder = load(taught / "best.ckpt").state_dict(), load(str(taught)).state_dict()
    assert all(torch.equal(value, of_folder[key]) for key, value in best.items())
    saved, loaded = save("RLadder"), load(tmp_path).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in saved.items())


@pytest.mark.parametrize(("kind", "source"), EVERY)
def test_a_network_of_every_experiment_is_loaded_without_its_data(kind, source, save, tmp_path, monkeypatch):
    saved = save(kind, source)
    monkeypatch.setattr(Experiment, "build", lambda *arguments, **options: pytest.fail("the data was read"))
    monkeypatch.setenv("FASTLADDER_DATA", str(tmp_path))
    state = torch.random.get_rng_state()
    network = load(tmp_path)
    assert type(network).__name__ == kind
    assert not network.training
    loaded = network.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(value, loaded[key]) for key, value in saved.items())
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(("kind", "source"), EVERY)
def test_a_network_is_made_for_the_images_of_its_data(kind, source, monkeypatch):
    noise = Digits(torch.rand(20, 28, 28), torch.arange(20) % 10, "noise")
    for module in ("data.textures", "experiments.occluded_moving_digits.data", "experiments.few_labels.data"):
        monkeypatch.setattr(f"fastladder.{module}.mnist_splits", lambda *_, **__: Splits(noise, noise, noise))
    experiment, configuration = case(kind, source)
    configuration["data"]["batch_size"] = 10
    task, data = experiment.build(configuration)
    data.setup("fit")
    images = next(iter(data.val_dataloader()))[0]
    with torch.no_grad():
        output = task.evaluated.eval()(images.flatten(1) if kind == "LadderNetwork" else images)
    assert output is not None


def test_what_is_no_run_is_refused(tmp_path, taught):
    with pytest.raises(RunError, match="nowhere: no such run or checkpoint"):
        load(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"holds no checkpoint, neither best.ckpt nor last.ckpt$"):
        load(tmp_path)
    with pytest.raises(RunError, match=f"holds no checkpoint.*there are some in .*{taught.name}"):
        load(taught.parent)
    with pytest.raises(RunError, match="not a sound checkpoint"):
        load(taught / "config.yaml")


@pytest.mark.parametrize("kind", CASES)
def test_evaluation_and_python_take_the_checkpoint_that_the_experiment_is_judged_by(kind, save, tmp_path):
    """That of a table's row: where there is a best one, of moving digits alone."""
    save(kind)
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    checkpoint["state_dict"] = {name: value + 1 for name, value in checkpoint["state_dict"].items()}
    torch.save(checkpoint, tmp_path / "best.ckpt")
    name = "best.ckpt" if kind == "RLadder" else "last.ckpt"
    assert read_run(tmp_path).path == tmp_path / name
    expected, loaded = load(tmp_path / name).state_dict(), load(tmp_path).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in expected.items())


def test_a_run_from_before_experiments_had_names(save, change, tmp_path):
    """All that train and demo made then were moving digits; their records have every option."""
    saved = save("RLadder")
    change(lambda record: (record.pop("experiment"), record["configuration"].update(trainer={})))
    loaded = load(tmp_path).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in saved.items())


@pytest.mark.parametrize("kind", ["LadderNetwork", "Tagger", "Sequential"])
def test_a_run_from_before_that_is_of_something_else(kind, save, change, tmp_path):
    save(kind)
    change(lambda record: (record.pop("experiment"), record["configuration"].update(trainer={})))
    with pytest.raises(RunError, match=r"last.ckpt: does not say of which experiment it is"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda sections: sections["model"].update(colour="red"), "colour"),
        (lambda sections: sections["model"].update(network="table99"), "table99"),
        (lambda sections: sections.pop("model"), "model"),
        (lambda sections: sections.update(model=3), "int"),
    ],
    ids=["unknown key", "unknown value", "no section", "no mapping"],
)
def test_a_configuration_of_another_version_is_refused(edit, said, save, change, tmp_path, capsys):
    save("RLadder")
    change(lambda record: edit(record["configuration"]))
    with pytest.raises(RunError, match=rf"^{tmp_path / 'last.ckpt'}: .*{said}"):
        load(tmp_path)
    assert main(["evaluate", f"--run={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fastladder: {tmp_path / 'last.ckpt'}: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("part", ["state_dict", RECORD])
def test_a_checkpoint_that_lacks_a_part_is_refused(part, save, tmp_path):
    save("RLadder")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    torch.save({**{name: value for name, value in checkpoint.items() if name != part}}, tmp_path / "last.ckpt")
    with pytest.raises(RunError, match=r"last.ckpt: not a checkpoint of a fastladder run"):
        load(tmp_path)


def test_a_run_of_an_unknown_experiment_is_refused(save, change, tmp_path):
    save("RLadder")
    change(lambda record: record.update(experiment="chess"))
    with pytest.raises(RunError, match=r"last.ckpt: .*experiment: got 'chess', needs one of occluded_moving_digits"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("figure", "kind", "needed"),
    [
        ("rladder-figure4", "Tagger", "occluded_moving_digits"),
        ("tagger-figure5", "RLadder", "textured_digits_grouping"),
    ],
)
def test_a_figure_of_another_experiment_is_refused(figure, kind, needed, save, tmp_path, capsys):
    save(kind)
    assert main(["figure", figure, f"--checkpoint={tmp_path / 'last.ckpt'}"]) == 2
    said = capsys.readouterr().err
    assert f"last.ckpt: is of the experiment {CASES[kind][0]}, needs one of {needed}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("dataset", "name"), [("shapes", "shapes"), ("textures2", "textured_digits_grouping")])
def test_two_experiments_had_one_name_once(dataset, name):
    record = {"experiment": "grouping", "configuration": {"data": {"dataset": dataset}}}
    assert experiment_of_record(record) == name
