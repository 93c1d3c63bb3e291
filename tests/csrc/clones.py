"""The clones of loops in a compiled extension (csrc/cpu/clones.h): their instructions, and which of them run."""

import re
import shutil
import signal
import subprocess
from collections import defaultdict

import pytest

# In the order of width: the name that build_info() gives, the function in C++, and a register that it alone may use.
CLONES = {"SSE2": "baseline", "AVX2": "avx2", "AVX-512": "avx512"}
WIDE = {"ymm": {"avx2", "avx512"}, "zmm": {"avx512"}}

# Puts breakpoints into functions of a loaded extension and calls an operator, once for every line of addresses.
TRAP = """
import sys, torch
from fastladder import extension, ops
path = extension.module.__file__
with open("/proc/self/maps") as maps:
    start = next(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(path))
for line in sys.stdin:
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        for address in line.split():
            memory.seek(start + int(address, 16))
            memory.write(bytes([0xCC]))
    ops.lstm_gates(torch.zeros(2, 12, 5), torch.zeros(2, 3, 5))
    print("survived", flush=True)
"""


def tool(name):
    """The path of a tool; skips the test where it is not found."""
    if (path := shutil.which(name)) is None:
        pytest.skip(f"{name} was not found on the PATH")
    return path


def wide_registers(library):
    """Which functions of the library use ymm and zmm: register -> mangled names."""
    command = [tool("objdump"), "-d", "--no-show-raw-insn", library]
    used, function = defaultdict(set), None
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        if heading := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = heading[1].partition(".")[0]  # rare branches of a function may be apart from it, as NAME.cold
        else:
            for register in re.findall("[yz]mm", line):
                used[register].add(function)
    return used


def clones(library):
    """The clones of every loop: function in C++ -> mangled name -> address."""
    found = {function: {} for function in CLONES.values()}
    symbols = subprocess.run([tool("nm"), "--defined-only", library], check=True, capture_output=True, text=True).stdout
    for address, _, name in map(str.split, symbols.splitlines()):
        if clone := re.match(r"_ZN10fastladder6Clones.*E\d+(baseline|avx2|avx512)E[^.]*$", name):
            found[clone[1]][name] = address
    return found


def check_instructions(library):
    """Every instruction set has a clone of each loop, and only the clones for wide registers use them."""
    found = clones(library)
    assert len({len(functions) for functions in found.values()}) == 1
    assert len(found["baseline"]) > 0
    used = wide_registers(library)
    for register, functions in WIDE.items():
        allowed = {name for function in functions for name in found[function]}
        assert used[register] <= allowed, sorted(used[register] - allowed)[:5]
    assert used["ymm"] >= found["avx2"].keys()
    assert used["zmm"] >= found["avx512"].keys()


def check_running(library, level, *python, **options):
    """The clone for `level` runs: a breakpoint in any other one does nothing, in that one it ends the process."""
    found = clones(library)
    traps = {function: " ".join(addresses.values()) for function, addresses in found.items()}
    own = traps.pop(CLONES[level])
    done = subprocess.run(
        [*python, "-c", TRAP], input="\n".join([*traps.values(), own]), capture_output=True, text=True, **options
    )
    assert done.stdout == "survived\n" * len(traps), done.stderr
    assert done.returncode == -signal.SIGTRAP, done.stderr
