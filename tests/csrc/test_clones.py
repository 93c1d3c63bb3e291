"""The extension in use has its loops for every instruction set, and runs those for this machine."""

import platform
import sys

import pytest

from fastladder import extension
from tests.csrc.clones import check_instructions, check_running

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="clones are made on x86-64 only"),
    pytest.mark.skipif(extension.module is None, reason="the extension is not built"),
]


def test_wide_instructions_stand_in_the_clones_for_them_alone():
    check_instructions(extension.module.__file__)


def test_the_instruction_set_that_build_info_names_is_the_one_that_runs():
    check_running(extension.module.__file__, extension.module.build_info()["simd"], sys.executable)
