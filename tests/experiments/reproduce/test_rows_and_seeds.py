"""Which rows and seeds `fastladder reproduce` trains, and which options it refuses."""

from dataclasses import replace

import pytest

from fastladder.experiments.registry import TABLES
from fastladder.experiments.reproduce import make_parser
from tests.experiments.command import Command
from tests.experiments.reproduce import tiny
from tests.experiments.reproduce.tiny import asked, refusal


def test_all_rows_with_one_seed_come_before_the_next_seed(reproduce, pretended):
    assert reproduce("--seeds=2") == 0
    assert asked(pretended) == [("full-0", 0), ("encoder-0", 0), ("full-1", 1), ("encoder-1", 1)]


def test_rows_are_chosen_and_only_missing_seeds_are_trained(reproduce, pretended, capsys):
    assert reproduce("--row=encoder") == 0
    assert asked(pretended) == [("encoder-0", 0)]
    pretended.clear()
    assert reproduce("--row=encoder", "--row=full", "--seeds=2") == 0
    assert asked(pretended) == [("full-0", 0), ("encoder-1", 1), ("full-1", 1)]
    # Errors 1 and 2 % on average, and their deviation.
    assert (
        "| Encoder only | 1.50 ± 0.71 |  |  |  | 2 | 7 | 2.0 min | float32 | an abacus |"
        in reproduce.report.read_text()
    )
    assert "1.50 ± 0.71" in capsys.readouterr().out


def test_a_row_that_goes_on_from_another_is_told_where_its_run_is_kept(reproduce, pretended, monkeypatch):
    rows = (tiny.TINY.row("full"), replace(tiny.TINY.row("encoder"), after=("other", "first")))
    monkeypatch.setattr(tiny, "TINY", replace(tiny.TINY, rows=rows))
    assert reproduce("--seeds=2") == 0
    other = reproduce.runs / "other" / "small"
    assert [attempt.before for attempt in pretended] == [None, other / "first-0", None, other / "first-1"]
    assert asked(pretended) == [("full-0", 0), ("encoder-0", 0), ("full-1", 1), ("encoder-1", 1)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--row=bogus"], ["row: got 'bogus'", "full, encoder"]),
        (["--scale=paper"], ["scale: got 'paper'", "small"]),
        (["--seeds=0"], ["seeds: got 0"]),
        (["--seeds=-1"], ["seeds: got -1"]),
        (["--seeds=many"], ["seeds", "many"]),
        (["--time-budget=-1"], ["time-budget: got -1"]),
        (["--time-budget=nan"], ["time_budget", "nan"]),
        (["--nope"], ["--nope"]),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("never_train")
def test_options_that_cannot_be_used(options, words, reproduce, capsys):
    said = refusal(capsys, reproduce(*options))
    assert all(word in said for word in words), said
    assert not list(reproduce.folder.iterdir())


@pytest.mark.usefixtures("never_train")
def test_a_table_that_is_not_there(reproduce, capsys):
    said = refusal(capsys, Command(reproduce.folder, "bogus")())
    assert "table: got 'bogus'" in said
    assert all(name in said for name in TABLES)
    unbroken = "".join(make_parser().format_help().split())  # help breaks lines behind hyphens
    assert all(name in unbroken for name in TABLES)
