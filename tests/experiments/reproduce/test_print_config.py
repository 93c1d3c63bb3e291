"""`fastladder reproduce TABLE --print-config ROW` shows all that a row is trained with."""

import pytest
import yaml

from fastladder.cli import main
from fastladder.experiments.registry import TABLES, find_table

ROWS = [
    (table, scale, row.name) for table in TABLES for scale in find_table(table).scales for row in find_table(table).rows
]


@pytest.mark.parametrize(("table", "scale", "row"), ROWS)
def test_what_is_printed_is_the_configuration(table, scale, row, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", table, f"--print-config={row}", f"--scale={scale}"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed) == find_table(table).configuration(find_table(table).row(row), scale, 0)
    assert "&" not in printed, "a value that stands twice is written out twice"
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_an_unknown_row_is_one_line(capsys):
    assert main(["reproduce", "ladder-mnist", "--print-config=nothing"]) == 2
    assert capsys.readouterr().err.startswith("fastladder: row: got 'nothing', ladder-mnist has mlp-100, ")
