"""README's table of speed is what the committed measurement says."""

import re

import pytest

from bench import readme

STEPS = [
    {
        "network": network,
        "input": f"size of {network}",
        "memory": memory,
        "milliseconds": {"ours": 10.0, "ours bfloat16": 4.0, **dict.fromkeys(others, milliseconds)},
    }
    for memory, milliseconds in (("kept", 99.0), ("user", 8.0), ("user", 77.0))
    for network, (_, others) in readme.ROWS.items()
]


def measured(**changed):
    return [
        {"training_steps": steps, "device": "an abacus", "threads": 2} | changed for steps in (STEPS[:5], STEPS[5:])
    ]


def test_the_first_size_with_a_users_memory_is_shown_and_bold_where_another_is_ahead():
    table = readme.speed_table([*measured(), {"operators": [], "device": "an abacus", "threads": 2}], "a-folder")
    rows = [line for line in table.splitlines() if "size of" in line]
    assert len(rows) == sum(len(others) for _, others in readme.ROWS.values())
    assert all(row.endswith("| 8.0 | 10.0 | **0.80x** | 4.0 | 2.00x |") for row in rows)
    assert "an abacus, 2 threads" in table


def test_measurements_of_two_devices_make_no_table():
    with pytest.raises(ValueError, match=r"a-folder: got .* needs those of one device"):
        readme.speed_table([*measured(), *measured(threads=1)], "a-folder")


def test_a_folder_without_measurements_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: got no measurements, needs a folder"):
        readme.read_measurements(tmp_path / "nothing")


def test_a_table_replaces_the_one_before():
    text = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter"
    assert readme.replaced(text, "new") == f"before\n{readme.BEGIN}\nnew\n{readme.END}\nafter"


def test_the_table_in_readme_is_that_of_the_committed_measurements():
    text = readme.README.read_text()
    (name,) = re.findall(r"\[measurements\]\(bench/results/([\w-]+)\)", text)
    folder = readme.README.parent / "bench/results" / name
    if not folder.exists():
        pytest.skip("not a checkout")
    assert readme.replaced(text, readme.speed_table(readme.read_measurements(folder), name)) == text
