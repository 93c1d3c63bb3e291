"""A file at the top of experiments/ knows no family, and a family knows no other one."""

import ast
import re
from pathlib import Path

import pytest

from fastladder.experiments import registry

EXPERIMENTS = Path(registry.__file__).parent
SHARED = {"classification", "grouping"}  # folders of what several families share
FOLDERS = {path.parent.name for path in EXPERIMENTS.glob("*/__init__.py")}
FAMILIES = sorted(FOLDERS - SHARED)
HARNESS = sorted(path.name for path in EXPERIMENTS.glob("*.py"))
ALLOWED_FILES = {"__init__", "data", "task", "metrics", "tables", "figures", "experiment"}
OTHER_FILES = {  # each for a reason of its own
    ("latent_images", "latents"),  # what trained latent variables hold, which Fig. 6 and 7 show
    ("latent_images", "records"),  # what results and runs have recorded, which Fig. 3 to 5 show
    ("music", "networks"),  # the networks of both tables, called alike
    ("music", "restoration"),  # what networks with a latent sequence can do, which Fig. 3 shows
    ("music", "sampling"),  # the command `fastladder sample music`
    ("occluded_moving_digits", "demo"),  # the command `fastladder demo`
    ("occluded_moving_digits", "probe"),  # the network that is trained for Fig. 4
    ("occluded_moving_digits", "speed"),  # what the demo measures
    ("textured_digits", "baselines"),  # the networks that only classify
    ("textured_digits", "classifiers"),  # how each network of the table classifies
}


def imported_folders(path):
    """The folders of experiments/ that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [f"{node.module}.{name.name}" for name in node.names] if isinstance(node, ast.ImportFrom) else []
        names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if (match := re.match(r"fastladder\.experiments\.(\w+)", name)) and match[1] in FOLDERS:
                yield match[1]


@pytest.mark.parametrize("name", HARNESS)
def test_the_harness_knows_no_family(name):
    path = EXPERIMENTS / name
    assert not set(imported_folders(path))
    if name != "registry.py":
        code = ast.unparse(ast.parse(path.read_text()))
        assert not [family for family in FAMILIES if f"{family}." in code or f"'{family}'" in code]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_knows_no_other_one(family):
    for path in (EXPERIMENTS / family).glob("*.py"):
        assert set(imported_folders(path)) <= SHARED | {family}, path


@pytest.mark.parametrize("folder", sorted(SHARED))
def test_what_is_shared_knows_no_family(folder):
    for path in (EXPERIMENTS / folder).glob("*.py"):
        assert set(imported_folders(path)) <= {folder}, path


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_the_files_that_every_family_has(family):
    names = {path.stem for path in (EXPERIMENTS / family).glob("*.py")}
    assert names - ALLOWED_FILES == {name for of, name in OTHER_FILES if of == family}


def test_the_registry_has_every_family():
    drawings = [*registry.FIGURES.values(), *registry.SAMPLES.values()]
    places = [*registry.EXPERIMENTS.values(), *registry.TABLES.values(), *(drawing.place for drawing in drawings)]
    assert {place.module.split(".")[2] for place in places} == set(FAMILIES)
    assert all(callable(drawing.place.find()) for drawing in drawings)
