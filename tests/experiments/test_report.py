"""The table on the screen and RESULTS.md, and the paper's numbers beside ours."""

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import fastladder
from fastladder.experiments.errors import RunError
from fastladder.experiments.registry import TABLES, Place, find_table, paper_numbers
from fastladder.experiments.report import number, report, results_table, write_report
from fastladder.experiments.results import Result, result_path, write_result
from fastladder.experiments.tables import Column, Row, Scale, Table

ROOT = Path(fastladder.__file__).resolve().parent.parent

MADE_UP = Table(
    name="rladder-table1",  # of which the paper's numbers are known
    title="Made up",
    columns=(Column("classification_error", "error (%)"), Column("next_frame_error", "miss (1e-5)", 1e5, 1)),
    rows=(Row("no-feedback", "Some row"), Row("static", "Another row"), Row("unheard-of", "Ours alone")),
    scales={
        "small": Scale(
            "All of it is smaller.",
            {"model": {"network": "small"}, "trainer": {"max_epochs": 1}},
            {"unheard-of": {"trainer": {"precision": "bf16-mixed"}}},
        )
    },
    experiment=None,
    attempt=None,
)


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr("fastladder.experiments.report.TABLES", {MADE_UP.name: Place("here", "MADE_UP")})
    monkeypatch.setattr("fastladder.experiments.report.find_table", lambda name: MADE_UP)
    return MADE_UP


def store(folder, table, row, seed, scale="small", **changes):
    result = Result(
        **{
            "table": table.name,
            "row": row,
            "scale": scale,
            "seed": seed,
            "complete": True,
            "steps": 1000,
            "seconds": 60.0,
            "test": {"classification_error": 1.0, "next_frame_error": 1e-3},
            "learning_rates": [0.1],
            "configuration": table.configuration(table.row(row), scale, seed),
            "data": {},
            "environment": {"device": "an abacus"},
            **changes,
        }
    )
    write_result(result_path(folder, table.name, scale, row, seed), result)


def screen(table, folder, scale="small"):
    """The text of a table on a terminal of 80 columns."""
    console = Console(file=io.StringIO(), width=80)
    console.print(results_table(table, scale, folder))
    return console.file.getvalue()


def cells(text, label):
    """The cells of a row of RESULTS.md."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {label}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_number_and_its_deviation():
    assert number((0.705, None), 1) == "0.7"
    assert number((150.1, 0.1), 1) == "150.1 ± 0.1"
    assert number((1.5, 0.046), 2) == "1.50 ± 0.05"


def test_the_cells_of_rows_by_hand(made_up, tmp_path):
    for seed, (error, miss, steps) in enumerate([(1.0, 1e-3, 1000), (2.0, 3e-3, 1500), (6.0, 2e-3, 1200)]):
        scores = {"classification_error": error, "next_frame_error": miss}
        store(tmp_path, made_up, "no-feedback", seed, test=scores, steps=steps)
    store(tmp_path, made_up, "unheard-of", 0, complete=False, seconds=3.0, test={"next_frame_error": 0.0})
    text = report(tmp_path)
    headings = ["", "error (%)", "error (%), paper", "miss (1e-5)", "miss (1e-5), paper"]
    assert cells(text, " | error") == [*headings, "seeds", "steps", "time", "precision", "device"]
    # Means of (1, 2, 6) and of (100, 300, 200); deviations sqrt(14 / 2) and sqrt(20000 / 2).
    ours = ["3.00 ± 2.65", "1.24 ± 0.05", "200.0 ± 100.0", "156.7 ± 0.4"]
    assert cells(text, "Some row") == ["Some row", *ours, "3", "1,000 to 1,500", "3.0 min", "float32", "an abacus"]
    assert cells(text, "Another row") == ["Another row", "", "0.71 ± 0.03", "", "", "not run", "", "", "", ""]
    assert cells(text, "Ours alone") == [
        "Ours alone *",
        "",
        "",
        "0.0",
        "",
        "1",
        "1,000",
        "0.1 min",
        "bfloat16",
        "an abacus",
    ]
    assert "`fastladder reproduce rladder-table1 --scale small`: All of it is smaller." in text
    assert "star" in text


def test_rows_of_several_devices_name_them_all(made_up, tmp_path):
    store(tmp_path, made_up, "static", 0, environment={"device": "an abacus"})
    store(tmp_path, made_up, "static", 1, environment={"device": "a slide rule"})
    assert cells(report(tmp_path), "Another row")[-1] == "a slide rule; an abacus"
    store(tmp_path, made_up, "no-feedback", 0)
    shown = screen(made_up, tmp_path)
    assert "device" in shown
    assert "slide" in shown


def test_the_screen_says_once_what_all_rows_share(made_up, tmp_path):
    store(tmp_path, made_up, "static", 0)
    store(tmp_path, made_up, "no-feedback", 0)
    shown = screen(made_up, tmp_path)
    assert shown.count("an abacus") == 1
    assert shown.count("float32") == 1
    assert "All of it is smaller." in shown
    assert "star" not in shown
    store(tmp_path, made_up, "unheard-of", 0, complete=False)
    assert "star" in screen(made_up, tmp_path)


@pytest.mark.parametrize(("name", "scale"), [(name, scale) for name in TABLES for scale in find_table(name).scales])
def test_a_table_is_readable_at_80_columns(name, scale, tmp_path):
    table = find_table(name)
    for row in table.rows:
        for seed, step in enumerate((10_000, 20_000)):
            scores = {column.score: (12.3 + seed) / column.factor for column in table.columns}
            store(tmp_path, table, row.name, seed, scale, steps=step, complete=False, test=scores, seconds=6e4)
    shown = screen(table, tmp_path, scale)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    words = shown.split()
    assert not [word for row in table.rows for word in row.label.split() if word not in words]
    for column in table.columns:
        ours = number((12.8, 0.5**0.5), column.digits)
        assert shown.count(ours) == len(table.rows) * sum(other.digits == column.digits for other in table.columns)
        for row in paper_numbers(name).values():
            if column.score in row:
                assert f"({number(row[column.score], column.digits)})" in shown


def test_nothing_run_is_nothing_reported(made_up, tmp_path):
    assert "Made up" not in report(tmp_path / "absent")
    assert screen(made_up, tmp_path / "absent").count("not run") == 3


def test_a_comment_follows_its_table(made_up, tmp_path):
    store(tmp_path, made_up, "static", 0)
    (tmp_path / made_up.name / "small" / "comment.md").write_text("\nWhat we make of it.\n")
    assert report(tmp_path).endswith("|\n\nWhat we make of it.\n")


def test_a_caveat_of_the_data_stands_once_below_its_table(made_up, tmp_path):
    for seed, caveat in enumerate(("Some of it is missing", "", "All of it is old", "Some of it is missing")):
        store(tmp_path, made_up, "static", seed, caveat=caveat)
    caveats = "All of it is old.\n\nSome of it is missing."
    assert report(tmp_path).endswith(f"|\n\n{caveats}\n")
    assert " ".join(screen(made_up, tmp_path).split()).endswith(caveats.replace("\n\n", " "))
    (tmp_path / made_up.name / "small" / "comment.md").write_text("What we make of it.")
    assert report(tmp_path).endswith(f"{caveats}\n\nWhat we make of it.\n")


def test_what_an_interrupted_write_left_is_no_result(made_up, tmp_path):
    store(tmp_path, made_up, "static", 0)
    before = report(tmp_path)
    (tmp_path / made_up.name / "small" / "static-1.partial").write_text("{")
    assert report(tmp_path) == before


def test_results_of_another_configuration_are_not_averaged(made_up, tmp_path):
    store(tmp_path, made_up, "static", 0)
    store(tmp_path, made_up, "static", 1, configuration={"seed": 1, "model": {"network": "table5"}})
    with pytest.raises(RunError, match=r"static-1.json: a result of another configuration .*model.network"):
        write_report(tmp_path, tmp_path / "RESULTS.md")
    assert not (tmp_path / "RESULTS.md").exists()


def test_a_damaged_result_is_not_left_out_in_silence(made_up, tmp_path):
    store(tmp_path, made_up, "static", 0)
    path = result_path(tmp_path, made_up.name, "small", "static", 0)
    path.write_text(path.read_text()[:100])
    with pytest.raises(RunError, match=r"static-0.json: not a sound result"):
        report(tmp_path)


def test_a_report_that_cannot_be_written(made_up, tmp_path):
    with pytest.raises(RunError, match=r"cannot be written .*--report"):
        write_report(tmp_path, tmp_path)


def test_results_md_is_what_the_results_say():
    path = ROOT / "RESULTS.md"
    if not path.exists():
        pytest.skip("RESULTS.md: not there yet, fastladder reproduce writes it")
    assert path.read_text() == report(ROOT / "results", ROOT)


def test_pictures_are_linked_from_where_the_report_is(made_up, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "rladder-figure4.png").touch()
    write_report(tmp_path / "deep", tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert "![rladder-figure4](deep/rladder-figure4.png)" in text
    assert "message-passing" not in text


# A picture only, a paper that is not among the five, and a question that no paper asks.
WITHOUT_PAPER = {"rtagger-shapes", "tagger-transfer", "ladder-mnist", "music-frames"}
# Rows that stand beside those of the paper.
BESIDE = {
    "rladder-music": {"piano-gru", "nottingham-gru", "muse-lstm", "muse-gru", "jsb-lstm", "jsb-gru"},
    "vrae-music": {f"{music}-{name}-markov" for music in ("piano", "nottingham", "jsb") for name in ("vrae", "vosp")},
    "rtagger-textures": {"tagger-few"},
    "ladder-vae-static": {"vae-bn-wu-3"},
    "rtagger-motion": {"local"},
    "ladder-vae-mnist": {row.name for row in find_table("ladder-vae-mnist").rows if not row.name.endswith("-5")},
}


@pytest.mark.parametrize("name", [name for name in TABLES if name not in WITHOUT_PAPER])
def test_the_paper_has_a_number_for_every_row(name):
    table, numbers = find_table(name), paper_numbers(name)
    assert set(numbers) == {row.name for row in table.rows} - BESIDE.get(name, set())
    scores = {column.score for column in table.columns}
    assert all(row and set(row) <= scores for row in numbers.values())


# Table and row here -> system and data set there.
TARGETS = {
    ("rladder-table1", "static"): ("OptimalRec+static", "OMMNIST"),
    ("rladder-table1", "temporal"): ("TemporalBaseline", "OMMNIST"),
    ("rladder-table1", "hierarchical"): ("HierarchicalRNN", "OMMNIST"),
    ("rladder-table1", "no-prediction"): ("RLadder-no-pred", "OMMNIST"),
    ("rladder-table1", "no-feedback"): ("RLadder-no-d2e", "OMMNIST"),
    ("rladder-table1", "no-classification"): ("RLadder-no-class", "OMMNIST"),
    ("rladder-table1", "rladder"): ("RLadder", "OMMNIST"),
    ("rladder-table2", "static"): ("OptimalRec+static", "OMMNIST-1k"),
    ("rladder-table2", "static-teacher"): ("OptimalRec+static+MT", "OMMNIST-1k+59k"),
    ("rladder-table2", "temporal"): ("TemporalBaseline", "OMMNIST-1k"),
    ("rladder-table2", "temporal-teacher"): ("TemporalBaseline+MT", "OMMNIST-1k+59k"),
    ("rladder-table2", "rladder"): ("RLadder", "OMMNIST-1k"),
    ("rladder-table2", "rladder-unlabelled"): ("RLadder", "OMMNIST-1k+59k"),
    ("rladder-table2", "rladder-teacher"): ("RLadder+MT", "OMMNIST-1k+59k"),
}
METRICS = {"err_pct": "classification_error", "mse_1e-5": "next_frame_error"}
# Table, row and score here -> system, data set, metric and place in its value there.
LISTED = {
    ("tagger-table1", "batch", "ami_5"): ("Tagger-BN", "Shapes", "ami", None),
    ("tagger-table1", "batch", "cost_5"): ("Tagger-BN", "Shapes", "denoise_cost", None),
    ("tagger-table1", "layer", "ami_5"): ("Tagger-LN", "Shapes", "ami", None),
    ("tagger-table1", "layer", "cost_5"): ("Tagger-LN", "Shapes", "denoise_cost", None),
    ("rtagger-motion", "rtagger", "ami"): ("RTagger", "MovingMNIST-20f", "ami", None),
} | {
    (f"tagger-table2-textures{digits}", f"{row}{few}", "classification_error"): (
        system,
        f"TextureMNIST{digits}",
        f"{metric} 50k,1k",
        place,
    )
    for digits, metric in ((1, "err_pct"), (2, "top2_err_pct"))
    for row, system in (("mlp", "FC-MLP"), ("ladder", "FC-Ladder"), ("tagger", "FC-Tagger"), ("convnet", "ConvNet"))
    for place, few in enumerate(("", "-few"))
}
LISTED |= {
    ("rtagger-textures", f"{row}{few}", score): (system, f"BrodatzMNIST-{data}", metric, None)
    for few, data, rows in (
        ("", "50k", {"rtagger": "RTagger", "tagger": "Tagger"}),
        ("-few", "1k+49k", {"rtagger": "RTagger"}),
    )
    for row, system in rows.items()
    for score, metric in (("ami_3", "ami"), ("classification_error", "err_pct"))
} | {
    ("rtagger-textures", "convnet", "classification_error"): ("ConvNet", "BrodatzMNIST-50k", "err_pct", None),
    ("rtagger-textures", "convnet-few", "classification_error"): ("ConvNet", "BrodatzMNIST-1k", "err_pct", None),
}
# Table, row and scores of the iterations here -> system, data set and metric there.
ITERATIONS = {
    ("rtagger-textures", f"rtagger{few}", scores): ("RTagger", f"BrodatzMNIST-{data}", metric)
    for few, data in (("", "50k"), ("-few", "1k+49k"))
    for scores, metric in (
        (("ami_1", "ami_2", "ami_3"), "ami"),
        (("classification_error_1", "classification_error_2", "classification_error"), "err_pct"),
    )
}
LADDER_VAE = {
    ("ladder-vae-finetuning", f"{row}-{kind}", "log_likelihood"): (
        system,
        "MNIST",
        "LL_5000: none,annLR,MC10,IW10,MC10IW10",
        place,
    )
    for row, system in (("vae", "VAE5+BN+WU"), ("ladder", "LVAE5+BN+WU"))
    for place, kind in enumerate(("none", "mc1-iw1", "mc10-iw1", "mc1-iw10", "mc10-iw10"))
} | {
    (f"ladder-vae-{data.lower()}", f"{row}-{least + place}", "log_likelihood"): (
        system,
        data,
        f"LL L={least}..5",
        place,
    )
    for data in ("OMNIGLOT", "NORB")
    for least, systems in (
        (1, {"vae": "VAE", "vae-bn": "VAE+BN", "vae-bn-wu": "VAE+BN+WU"}),
        (2, {"ladder": "LVAE+BN+WU"}),
    )
    for row, system in systems.items()
    for place in range(6 - least)
}


def test_the_papers_numbers_are_those_of_the_collection():
    places = [parent.parent / "shared" / "targets.yaml" for parent in Path(__file__).resolve().parents]
    if not (found := [place for place in places if place.is_file()]):
        pytest.skip("no shared/targets.yaml beside the checkout to compare with")
    targets: dict = {}
    for entry in yaml.safe_load(found[0].read_text()):
        if entry["metric"] in METRICS:
            numbers = targets.setdefault((entry["system"], entry["dataset"]), {})
            numbers[METRICS[entry["metric"]]] = (entry["value"], entry["std"])
    for (table, row), target in TARGETS.items():
        assert paper_numbers(table)[row] == targets[target], (table, row)
    entries = {(each["system"], each["dataset"], each["metric"]): each for each in yaml.safe_load(found[0].read_text())}
    for (table, row, score), (*key, place) in (LISTED | LADDER_VAE).items():
        entry = entries[tuple(key)]
        value, deviation = (
            each if place is None or each is None else each[place] for each in (entry["value"], entry["std"])
        )
        assert paper_numbers(table)[row][score] == (value, deviation), (table, row, score)
    for (table, row, names), key in ITERATIONS.items():
        numbers = paper_numbers(table)[row]
        assert [numbers[name][0] for name in names] == entries[key]["per_iter"], (table, row)
