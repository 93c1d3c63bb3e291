"""The examples of README.md run as they are printed."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_there_are_seven():
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=["ConvLSTM", "joined weights", "operator", "RLadder", "Tag", "RTagger", "LadderVAE"]
)
def test_example_runs(example):
    exec(compile(example, str(README), "exec"), {"__name__": "example"})
