"""Imports run one way: cli -> experiments -> models -> nn -> ops. `import fastladder` costs torch and nothing more."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fastladder"
KERNELS = PACKAGE.parent / "kernels"  # installed as fastladder.kernels
# Every part of the package, and the other parts that it may import.
MAY_IMPORT = {
    "cli": {"experiments", "data", "info", "backends"},
    "experiments": {"models", "nn", "ops", "data", "inference", "info", "backends"},
    "models": {"nn", "ops", "tensors"},
    "nn": {"ops", "tensors", "backends"},
    "ops": {"reference", "backends", "extension"},
    "kernels": {"ops"},
    "reference": {"tensors"},
    "inference": set(),
    "data": set(),
    "info": {"backends", "extension"},
    "backends": {"extension"},
    "extension": set(),
    "tensors": set(),
}
# What torch itself brings, and all that these parts may import from outside.
TORCH = {"torch", "typing_extensions"}
NEEDS_TORCH_ONLY = set(MAY_IMPORT) - {"experiments", "data", "kernels"}


def imported_modules(part):
    """The full name of every module that a part imports, also within functions and for type checkers."""
    folder = KERNELS if part == "kernels" else PACKAGE / part
    files = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").exists() else list(folder.rglob("*.py"))
    assert files, f"{part} has no files"
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports are absolute here"
                members = [f"fastladder.{name.name}" for name in node.names if name.name in MAY_IMPORT]
                yield from members if node.module == "fastladder" else [node.module]


def test_every_part_has_a_rule():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or list(path.glob("*.py"))}
    assert parts - {"__init__"} | {"kernels"} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_lies_below_it(part):
    own = {name.split(".")[1] for name in imported_modules(part) if name.startswith("fastladder.")}
    assert own - {part} <= MAY_IMPORT[part]


@pytest.mark.parametrize("part", sorted(NEEDS_TORCH_ONLY))
def test_a_part_needs_torch_only(part):
    outside = {name.split(".")[0] for name in imported_modules(part)} - sys.stdlib_module_names
    assert outside <= {"fastladder"} | TORCH


def test_kernels_need_torch_and_triton_only():
    outside = {name.split(".")[0] for name in imported_modules("kernels")} - sys.stdlib_module_names
    assert outside == {"fastladder", "torch", "triton"}


def test_only_ops_imports_the_reference():
    assert [part for part, others in MAY_IMPORT.items() if "reference" in others] == ["ops"]


def test_import_costs_torch_only():
    heavy = ["lightning", "matplotlib", "sklearn", "pooch", "jsonargparse", "rich", "tensorboard", "triton", "scipy"]
    code = (
        "import sys, torch; before = set(sys.modules); import fastladder; "
        f"print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] in {heavy!r}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
