import os
import subprocess
import sys

import pytest

import fastladder
from fastladder.cli import COMMANDS, main
from fastladder.experiments.registry import DEMOS, FIGURES, SAMPLES


def python(code, **environment):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"fastladder {fastladder.__version__}\n"


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(f"  {command} " in text for command in COMMANDS)


DRAWINGS = {"demo": DEMOS, "figure": FIGURES, "sample": SAMPLES}
NAMED = [f"{command} {name}" for command, drawings in DRAWINGS.items() for name in drawings]


@pytest.mark.parametrize("command", [*COMMANDS, *NAMED, "train --experiment music"])
def test_help_of_a_command(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"fastladder {command.split()[0]}" in text
    assert "0x" not in text  # the address of a function that reads an option, in place of a type


def test_doctor_and_help_import_no_extra_package():
    done = python("""
import sys
from fastladder.cli import main
assert main(["doctor"]) == 0
try:
    main(["--help"])
except SystemExit:
    pass
print(sorted({"lightning", "jsonargparse", "matplotlib", "rich", "sklearn", "tensorboard"} & set(sys.modules)))
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("command", "package"),
    [("train", "lightning"), ("evaluate", "jsonargparse"), ("demo", "rich"), ("demo", "matplotlib")],
)
def test_a_missing_package_is_named_with_the_remedy(command, package):
    done = python(f"""
import sys
sys.modules["{package}"] = None
from fastladder.cli import main
sys.exit(main(["{command}"]))
""")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert package in done.stderr
    assert "pip install 'fastladder[train]'" in done.stderr


@pytest.mark.parametrize("command", ["doctor", "train", "demo"])
def test_a_wrong_backend_in_the_environment_is_one_line(command):
    code = f"import sys; from fastladder.cli import main; sys.exit(main(['{command}']))"
    done = python(code, FASTLADDER_BACKEND="fastest")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "FASTLADDER_BACKEND: got 'fastest', needs one of 'auto'" in done.stderr
    assert ("Backends" in done.stdout) == (command == "doctor")


def test_an_interrupt_before_the_training_is_one_line(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("fastladder.info.doctor", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "fastladder: interrupted\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "runs/here"), "runs/here: No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("the writer is closed"), "the writer is closed"),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_one_line(error, said, monkeypatch, capsys):
    def refused():
        raise error

    monkeypatch.setattr("fastladder.info.doctor", refused)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == f"fastladder: {said}\n"


def test_nobody_reads_what_is_printed():
    code = "import sys; from fastladder.cli import main; sys.exit(main(['doctor']))"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as end:
        done = subprocess.run([sys.executable, "-c", code], stdout=end, stderr=subprocess.PIPE, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_network_is_loaded_without_a_package_that_is_needed():
    done = python("""
import sys
sys.modules["lightning"] = None
from fastladder.experiments import load
try:
    load("nowhere")
except ValueError as error:
    print(error)
""")
    assert done.stdout == "load needs the package lightning: pip install 'fastladder[train]'\n", done.stderr


def test_the_experiments_are_light_until_a_network_is_loaded():
    done = python("""
import sys
from fastladder.experiments import load
print(sorted({"lightning", "jsonargparse", "matplotlib", "rich", "sklearn", "tensorboard"} & set(sys.modules)))
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
