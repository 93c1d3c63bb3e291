"""What the documents at the top of the repository say of the tree holds."""

import re
from pathlib import Path

import pytest
import yaml

import fastladder

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
FAMILIES = ("lstm_gates", "gated_combine", "grouping", "gaussian", "moments")
PATHS = r"\b(?:csrc|kernels|fastladder|tests|bench|results)/[\w./*-]*\w/?|\b[A-Z]{4,}\.md"

pytestmark = pytest.mark.skipif(not (ROOT / "ARCHITECTURE.md").exists(), reason="not a checkout")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_a_document_exists(document: str) -> None:
    """F in a path stands for every family of operators, FAMILY for one of experiments."""
    named = set(re.findall(PATHS, (ROOT / document).read_text()))
    assert named
    missing = []
    for path in named:
        if "FAMILY" in path:
            continue
        for family in FAMILIES if re.search(r"/(test_|bench_)?F\.", path) else ("",):
            place = re.sub(r"(?<=[/_])F\.", f"{family}.", path)
            if not any(ROOT.glob(place)):
                missing.append(place)
    assert missing == []


def test_the_version_is_the_same_everywhere() -> None:
    project = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project[1] == citation["version"] == fastladder.__version__
    assert project[1] in (ROOT / "CHANGELOG.md").read_text()


def test_five_papers_are_cited() -> None:
    references = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    assert len(references) == len({reference["url"] for reference in references}) == 5
