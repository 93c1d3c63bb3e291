"""What the papers claim: how it is judged, and that every claim holds of the paper's own numbers."""

from dataclasses import replace

import pytest

from fastladder.experiments.claims import Claim, read_claim, verdict
from fastladder.experiments.errors import RunError
from fastladder.experiments.registry import TABLES, find_table, paper_claims, paper_numbers
from fastladder.experiments.report import all_results, claims_table
from tests.experiments.test_report import made_up, store  # noqa: F401

CLAIM = Claim("less is less", ("a", "error"), ("b", "error"))


@pytest.mark.parametrize(
    ("smaller", "larger", "factor", "needed"),
    [
        ([], [2.0], 1, "not tried"),
        ([1.0], [], 1, "not tried"),
        ([1.0], [2.0], 1, "not shown, one seed"),
        ([1.0, 1.2], [2.0], 1, "not shown, one seed"),
        ([2.0], [1.0], 1, "not shown"),
        ([1.0, 1.2], [2.0, 2.2], 1, "shown"),  # 1 between the means, deviations of 0.14 each
        ([1.0, 2.0], [2.0, 3.0], 1, "not shown"),  # 1 between the means, deviations of 0.71 each
        ([2.0, 2.2], [1.0, 1.2], 1, "not shown"),
        ([2.0, 2.2], [1.0, 1.2], 3, "shown"),  # 2.1 against 3.3, deviations of 0.14 and 0.42
        ([2.0, 2.2], [1.0, 1.2], 2.3, "not shown"),  # 2.1 against 2.53, deviations of 0.14 and 0.33
    ],
)
def test_a_claim_is_shown_beyond_the_spread_of_both(smaller, larger, factor, needed):
    assert verdict(Claim("", CLAIM.smaller, CLAIM.larger, factor), smaller, larger) == needed


@pytest.mark.parametrize("name", TABLES)
def test_claims_hold_of_the_numbers_that_the_paper_prints(name):
    paper = paper_numbers(name)
    for claim in paper_claims(name):
        (smaller, _), (larger, _) = (paper[row][score] for row, score in (claim.smaller, claim.larger))
        assert smaller < claim.factor * larger, claim.says
        assert claim.factor == 1 or smaller > larger, claim.says


def test_all_tables_of_the_first_papers_have_claims():
    assert [name for name in TABLES if name.startswith(("rladder-", "tagger-table")) and not paper_claims(name)] == []


def test_the_table_of_claims_takes_the_scale_that_was_run(made_up, tmp_path, monkeypatch):  # noqa: F811
    claim = Claim("without is better", ("no-feedback", "classification_error"), ("static", "classification_error"))
    monkeypatch.setattr("fastladder.experiments.report.paper_claims", lambda name: [claim])
    paper = "1.24 ± 0.05 and 0.71 ± 0.03"
    assert f"| without is better | rladder-table1 |  | {paper} | not tried |" in claims_table(all_results(tmp_path))
    for seed, error in enumerate((1.0, 1.2)):
        store(tmp_path, made_up, "no-feedback", seed, test={"classification_error": error})
        store(tmp_path, made_up, "static", seed, test={"classification_error": 2 + error})
    ours = "1.10 ± 0.14 and 3.10 ± 0.14"
    assert f"| without is better | rladder-table1 small | {ours} | {paper} | shown |" in claims_table(
        all_results(tmp_path)
    )


@pytest.mark.parametrize(
    ("seeds", "scale"),
    [({"paper": 1}, "paper"), ({"paper": 1, "small": 2}, "small"), ({"paper": 2, "small": 2}, "paper")],
)
def test_the_table_of_claims_takes_the_largest_scale_with_several_seeds(seeds, scale, made_up, tmp_path, monkeypatch):  # noqa: F811
    claim = Claim("without is better", ("no-feedback", "classification_error"), ("static", "classification_error"))
    table = replace(made_up, scales={"paper": made_up.scales["small"], **made_up.scales})
    monkeypatch.setattr("fastladder.experiments.report.find_table", lambda name: table)
    monkeypatch.setattr("fastladder.experiments.report.paper_claims", lambda name: [claim])
    for chosen, count in seeds.items():
        for seed in range(count):
            store(tmp_path, table, "no-feedback", seed, scale=chosen)
            store(tmp_path, table, "static", seed, scale=chosen)
    assert f"| without is better | rladder-table1 {scale} |" in claims_table(all_results(tmp_path))


def test_a_claim_names_rows_and_scores_that_there_are():
    table = find_table("rladder-table1")
    with pytest.raises(RunError, match="row: got 'nobody'"):
        read_claim(table, says="", smaller="nobody.classification_error", larger="static.classification_error")
    with pytest.raises(RunError, match=r"claim: got static\.beauty, and rladder-table1 has the scores"):
        read_claim(table, says="", smaller="static.beauty", larger="static.classification_error")
