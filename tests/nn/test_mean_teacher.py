"""MeanTeacher, consistency and ramp_up."""

import copy
import doctest
import io
import math
import pickle

import pytest
import torch
from torch import nn

from fastladder.nn import MeanTeacher, mean_teacher
from fastladder.nn.mean_teacher import consistency, ramp_up
from tests.nn.modules import tensors
from tests.nn.students import EVERY_MODULE, assert_same_state, student_and_input, walk


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@EVERY_MODULE
def test_the_teacher_is_the_moving_average_of_its_students(name):
    student, _ = student_and_input(name)
    teacher = MeanTeacher(student, decay=0.7)
    expected = [parameter.detach().double() for parameter in student.parameters()]
    for n in range(7):
        walk(student, n)
        teacher.update(student)
        a = min(1 - 1 / (n + 1), 0.7)
        expected = [
            a * mean + (1 - a) * theirs.double() for mean, theirs in zip(expected, student.parameters(), strict=True)
        ]
        for own, mean in zip(teacher.module.parameters(), expected, strict=True):
            torch.testing.assert_close(own, mean.float())
    assert teacher.updates == 7


def test_the_teacher_is_at_first_the_plain_mean_of_the_students():
    student = nn.Linear(3, 4)
    teacher, seen = MeanTeacher(student, decay=0.999), []
    for n in range(20):
        walk(student, n)
        teacher.update(student)
        seen.append(student.weight.detach().clone())
        torch.testing.assert_close(teacher.module.weight, torch.stack(seen).mean(0))


def test_without_decay_the_teacher_is_the_student():
    student = nn.Linear(3, 4)
    teacher = MeanTeacher(student, decay=0)
    walk(student, 0)
    teacher.update(student)
    assert_same_state(teacher.module, student)


@pytest.mark.parametrize(
    "dtypes", [(torch.bfloat16,) * 2, (torch.float16, torch.float32), (torch.float64, torch.bfloat16)]
)
def test_a_mean_is_exact_to_the_precision_of_its_parameter(dtypes):
    """bfloat16 does not resolve a single step of 0.001, but the sum of all steps."""
    student = nn.Sequential(nn.Linear(3, 4, dtype=dtypes[0]), nn.Linear(4, 2, dtype=dtypes[1]))
    teacher = MeanTeacher(student)
    teacher.updates.fill_(10_000)
    expected = [parameter.detach().to(torch.float64, copy=True) for parameter in student.parameters()]
    walk(student, 0)
    for _ in range(500):
        teacher.update(student)
        expected = [0.999 * mean + 0.001 * s.double() for mean, s in zip(expected, student.parameters(), strict=True)]
    for own, theirs, mean in zip(teacher.module.parameters(), student.parameters(), expected, strict=True):
        assert own.dtype == theirs.dtype
        # Half a unit in the last place for the parameter itself, and float32 for its mean.
        torch.testing.assert_close(own.double(), mean, rtol=torch.finfo(own.dtype).eps / 2 + 1e-5, atol=1e-6)


def test_a_student_of_another_precision():
    student = nn.Linear(3, 4)
    teacher, twin = MeanTeacher(student, decay=0.5), MeanTeacher(student, decay=0.5)
    walk(student, 0)
    teacher.update(copy.deepcopy(student).double())
    twin.update(student)
    assert_same_state(teacher, twin)


def test_a_student_without_parameters():
    teacher, x = MeanTeacher(nn.ReLU()), torch.randn(5, 3)
    teacher.update(nn.ReLU())
    assert teacher.updates == 1
    assert torch.equal(teacher(x), x.relu())


class Parameters(nn.Module):
    """Three parameters, of which `values` has the type that is tested."""

    def __init__(self, values):
        super().__init__()
        self.first = nn.Parameter(torch.zeros(2))
        self.values = nn.Parameter(values, requires_grad=False)
        self.last = nn.Parameter(torch.zeros(3))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8, torch.bool], ids=str)
def test_parameters_that_have_no_mean_are_those_of_the_student(dtype):
    student = Parameters(torch.tensor([0, 1, 0]).to(dtype))
    teacher = MeanTeacher(student, decay=0.5)
    assert set(teacher.state_dict()) == {"updates", "module.first", "module.values", "module.last"}
    for step in ([1, 1, 0], [0, 0, 1]):
        with torch.no_grad():
            student.last += 1
            student.values.copy_(torch.tensor(step))
        teacher.update(student)
        assert torch.equal(teacher.module.values, student.values)
    assert teacher.module.last.tolist() == [1.5] * 3


@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex64, torch.complex128], ids=str)
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_complex_parameters_are_averaged(dtype):
    student = Parameters(torch.zeros(2, dtype=dtype))
    teacher = MeanTeacher(student, decay=0.5)
    for step in ([1, 2j], [3j, -2]):
        with torch.no_grad():
            student.values.copy_(torch.tensor(step))
        teacher.update(student)
    assert teacher.module.values.dtype == dtype
    assert teacher.module.values.tolist() == [0.5 + 1.5j, -1 + 1j]


def test_parameters_that_are_shared_move_once():
    student = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    student[1].weight = student[0].weight
    teacher, twin = MeanTeacher(student, decay=0.5), MeanTeacher(student[0], decay=0.5)
    assert teacher.module[1].weight is teacher.module[0].weight
    for n in range(2):
        walk(student, n)
        teacher.update(student)
        twin.update(student[0])
    assert torch.equal(teacher.module[1].weight, twin.module.weight)


def test_buffers_are_the_teachers_own():
    student, x = student_and_input("BatchNorm")
    teacher = MeanTeacher(student)
    norm = student[1]
    student(x + 5)
    assert norm.num_batches_tracked == 1
    teacher.update(student)
    assert teacher.module[1].num_batches_tracked == 0
    assert not teacher.module[1].running_mean.any()

    before = state(student)
    inputs = teacher.module[0](x)
    teacher(x)
    torch.testing.assert_close(teacher.module[1].running_mean, 0.1 * inputs.mean(0))
    torch.testing.assert_close(student.state_dict(), before, rtol=0, atol=0)
    teacher.eval()(x)
    assert teacher.module[1].num_batches_tracked == 1


@EVERY_MODULE
def test_no_gradient_reaches_the_teacher(name):
    student, x = student_and_input(name)
    teacher = MeanTeacher(student)
    x.requires_grad_()
    targets, own = tensors(teacher(x)), tensors(student(x))
    assert targets
    assert not any(target.requires_grad for target in targets)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())

    sum((y - target).square().sum() for y, target in zip(own, targets, strict=True)).backward()
    teacher.update(student)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


@EVERY_MODULE
def test_the_teacher_computes_what_its_student_did(name):
    student, x = student_and_input(name)
    teacher = MeanTeacher(student)
    expected = [y.detach() for y in tensors(student(x))]
    walk(student, 0)
    torch.testing.assert_close(tensors(teacher(x)), expected, rtol=0, atol=0)


def test_keyword_arguments_reach_the_module():
    teacher = MeanTeacher(nn.Bilinear(2, 3, 4))
    one, two = torch.rand(5, 2), torch.rand(5, 3)
    assert torch.equal(teacher(one, input2=two), teacher.module(one, two))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@EVERY_MODULE
def test_a_loaded_teacher_continues_as_the_original(name, dtype):
    student, _ = student_and_input(name)
    student.to(dtype)
    teacher = MeanTeacher(student, decay=0.9)
    for n in range(3):
        walk(student, n)
        teacher.update(student)
    loaded = MeanTeacher(student, decay=0.9)
    file = io.BytesIO()
    torch.save(teacher.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert loaded.updates == 3
    heirs = [loaded, copy.deepcopy(teacher), pickle.loads(pickle.dumps(teacher))]
    walk(student, 3)
    teacher.update(student)
    for heir in heirs:
        assert heir.updates == 3
        heir.update(student)
        assert_same_state(heir, teacher)


def test_the_state_of_a_float32_teacher_is_that_of_its_module_and_a_count():
    teacher = MeanTeacher(nn.Linear(3, 4))
    assert set(teacher.state_dict()) == {"updates", "module.weight", "module.bias"}


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.nan])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match=f"decay: got {decay}, needs 0 to below 1"):
        MeanTeacher(nn.Linear(3, 4), decay)


@pytest.mark.parametrize(
    "other", [nn.Linear(3, 5), nn.Linear(3, 4, bias=False), nn.Sequential(nn.Linear(3, 4))], ids=str
)
def test_another_student_is_refused(other):
    teacher = MeanTeacher(nn.Linear(3, 4))
    before = state(teacher)
    with pytest.raises(ValueError, match="student: got other parameters than the teacher's, needs the module"):
        teacher.update(other)
    torch.testing.assert_close(teacher.state_dict(), before, rtol=0, atol=0)


def test_consistency_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    expected = 0.0
    for n in range(5):
        p, q = ([math.exp(logit) for logit in logits[n].tolist()] for logits in (student, teacher))
        expected += sum((p[k] / sum(p) - q[k] / sum(q)) ** 2 for k in range(3))
    assert consistency(student, teacher).item() == pytest.approx(expected / 15)
    assert consistency(student, student + 3) == pytest.approx(0)  # a constant does not change the probabilities


def test_consistency_has_a_gradient_for_the_student_only():
    torch.manual_seed(0)
    student, teacher = (torch.randn(5, 3, requires_grad=True) for _ in range(2))
    consistency(student, teacher).backward()
    assert student.grad.any()
    assert teacher.grad is None


def test_consistency_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"teacher: got shape \(5, 1\), needs \(5, 3\) like student"):
        consistency(torch.zeros(5, 3), torch.zeros(5, 1))


def test_the_ramp():
    values = [ramp_up(progress) for progress in (-1, 0, 0.5, 1, 7)]
    assert values == pytest.approx([math.exp(-5), math.exp(-5), math.exp(-1.25), 1, 1])


def test_the_example_of_the_docstring_runs():
    torch.manual_seed(0)
    found = doctest.testmod(mean_teacher)
    assert found.attempted == 7
    assert found.failed == 0
