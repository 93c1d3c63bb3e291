"""A MeanTeacher whose student is wrapped, compiled or sharded."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed import fsdp, init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from fastladder.nn import MeanTeacher
from tests.nn.students import assert_same_state, student_and_input, walk


def set_up_by_fabric(module):
    return pytest.importorskip("lightning").Fabric(accelerator="cpu", devices=1).setup(module)


def compiled_in_place(module):
    module.compile()
    return module


WRAPPERS = {
    "compile": torch.compile,
    "compile in place": compiled_in_place,
    "DataParallel": nn.DataParallel,
    "DistributedDataParallel": DistributedDataParallel,
    "compile of DistributedDataParallel": lambda module: torch.compile(DistributedDataParallel(module)),
    "DistributedDataParallel of compile": lambda module: DistributedDataParallel(torch.compile(module)),
    "Fabric": set_up_by_fabric,
    "parts": lambda module: nn.Sequential(torch.compile(module[0]), *module[1:3], DistributedDataParallel(module[3])),
}
EVERY_WRAPPER = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


@pytest.mark.usefixtures("process_group")
@EVERY_WRAPPER
def test_the_teacher_of_a_student_follows_it_wrapped(wrap):
    student, _ = student_and_input("BatchNorm")
    teacher, twin = MeanTeacher(student, decay=0.5), MeanTeacher(student, decay=0.5)
    wrapped = wrap(copy.deepcopy(student))
    for n in range(3):
        walk(student, n)
        walk(wrapped, n)
        teacher.update(wrapped)
        twin.update(student)
    assert teacher.updates == 3
    assert_same_state(teacher, twin)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("wrap", list(WRAPPERS.values())[:-1], ids=list(WRAPPERS)[:-1])
def test_the_teacher_of_a_wrapped_student_is_a_copy_of_the_student_within(wrap):
    student, x = student_and_input("BatchNorm")
    teacher, twin = MeanTeacher(wrap(copy.deepcopy(student)), decay=0.5), MeanTeacher(student, decay=0.5)
    assert type(teacher.module) is nn.Sequential
    walk(student, 0)
    teacher.update(student)
    twin.update(student)
    torch.testing.assert_close(teacher(x), twin(x), rtol=0, atol=0)
    assert_same_state(teacher, twin)


class Halved(nn.Module):
    """A user's network that holds another one as `module`, as torch's wrappers do."""

    def __init__(self):
        super().__init__()
        self.module = nn.Linear(3, 4)

    def forward(self, x):
        return self.module(x) / 2


def test_a_network_that_only_looks_like_a_wrapper_is_copied_whole():
    student, x = Halved(), torch.rand(5, 3)
    teacher = MeanTeacher(student)
    assert torch.equal(teacher(x), student(x))
    with pytest.raises(ValueError, match="student: got other parameters"):
        teacher.update(student.module)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("teacher_too", [False, True])
def test_a_student_that_is_sharded_after_its_teacher_was_made(teacher_too):
    student = nn.Linear(3, 4)
    teacher, twin = MeanTeacher(student, decay=0.5), MeanTeacher(student, decay=0.5)
    mesh = init_device_mesh("cpu", (1,))
    sharded = fsdp.fully_shard(copy.deepcopy(student), mesh=mesh)
    if teacher_too:
        fsdp.fully_shard(teacher.module, mesh=mesh)
    for n in range(3):
        with torch.no_grad():
            for parameter in (*sharded.parameters(), *student.parameters()):
                parameter.add_(n)
        teacher.update(sharded)
        twin.update(student)
    for own, expected in zip(teacher.module.parameters(), twin.module.parameters(), strict=True):
        torch.testing.assert_close(own.full_tensor() if teacher_too else own, expected)


@pytest.mark.usefixtures("process_group")
def test_a_student_that_is_sharded_before_its_teacher_is_made():
    sharded = fsdp.fully_shard(nn.Linear(3, 4), mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(ValueError, match=r"student: cannot be copied .*, needs to be sharded after its teacher"):
        MeanTeacher(sharded)
