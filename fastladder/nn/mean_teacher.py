"""The Mean Teacher: a moving average of a network, from whose outputs the network learns without labels."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class MeanTeacher(nn.Module):
    r"""A teacher for any module (Tarvainen and Valpola, 2017, Mean teachers are better role models).

    After every step of the optimizer, :meth:`update` moves the teacher's parameters to those of the student:

    .. math::
        \theta' \leftarrow a \, \theta' + (1 - a) \, \theta, \qquad a = \min(1 - 1 / (n + 1), \, \mathrm{decay})

    where n counts the updates before this one, so that the teacher is at first the plain mean of its students. Buffers,
    such as the running statistics of batch normalisation, come from the teacher's own forward passes, while
    `torch.optim.swa_utils.AveragedModel` copies or averages those of the student. The mean of a parameter with less
    than 32 bits is kept in float32 beside it. Parameters of integers and booleans have no mean and are copied.

    Of a student that was wrapped by `torch.compile`, `DataParallel`, `DistributedDataParallel` or Lightning's
    `Fabric.setup` the module within is the student, here and in :meth:`update`. `fully_shard` has to be applied to the
    student after its teacher is made, and then every process has to call :meth:`update`, which gathers the parameters.

    Args:
        student: is copied, weights included. The copy is the attribute `module`.
        decay: the largest a, from 0 to below 1.

    Raises:
        ValueError: the decay is out of range, or the student is sharded.

    Example:
        >>> student = torch.nn.Linear(2, 3)
        >>> teacher = MeanTeacher(student)
        >>> optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
        >>> x = torch.rand(4, 2)
        >>> consistency(student(x), teacher(x)).backward()
        >>> optimizer.step()
        >>> teacher.update(student)
    """

    def __init__(self, student: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay: got {decay}, needs 0 to below 1")
        self.decay = decay
        try:
            self.module = copy.deepcopy(unwrapped(student)).requires_grad_(False)
        except AssertionError as error:  # of fully_shard
            raise ValueError(f"student: cannot be copied ({error}), needs to be sharded after its teacher") from None
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        own = dict(named_parameters(self.module))
        # A step of 1 - decay = 0.001 is less than bfloat16 resolves: a mean in bfloat16 would not move.
        self.rounded = [name for name, value in own.items() if has_mean(value) and torch.finfo(value.dtype).bits < 32]
        wide = (own[name].to(torch.complex64 if own[name].is_complex() else torch.float32) for name in self.rounded)
        self.means = nn.ParameterList(wide).requires_grad_(False)

    updates: Tensor

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Moves the teacher to the student.

        Raises:
            ValueError: the student's parameters differ from the teacher's in name or shape.
        """
        own, theirs = dict(named_parameters(self.module)), dict(named_parameters(student))
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in theirs.items()}:
            raise ValueError("student: got other parameters than the teacher's, needs the module it was made from")
        self.updates += 1
        weight = 1 - min(1 - 1 / self.updates.item(), self.decay)
        means = own | dict(zip(self.rounded, self.means, strict=True))
        for name, mean in means.items():
            theirs[name] = gathered(theirs[name], mean).to(mean)
        averaged = [name for name, mean in means.items() if has_mean(mean)]
        if averaged:
            torch._foreach_lerp_([means[name] for name in averaged], [theirs[name] for name in averaged], weight)
        for name in self.rounded:
            own[name].copy_(means[name])
        for name in own.keys() - averaged:
            own[name].copy_(theirs[name])

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Returns what the teacher's module returns, without gradients."""
        return self.module(*args, **kwargs)

    def extra_repr(self) -> str:
        return f"decay={self.decay}"


def unwrapped(module: nn.Module) -> nn.Module:
    """The module within the wrappers of torch and Lightning, in any order."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return unwrapped(module.module)
    # Attributes of torch.compile and Fabric.setup. To check for their types would import the compiler and Lightning.
    for within in ("_orig_mod", "_original_module"):
        if hasattr(module, within):
            return unwrapped(getattr(module, within))
    return module


def named_parameters(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Each parameter once, by the name that it has without wrappers around the module or its parts."""
    seen = set()

    def walk(module: nn.Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
        module = unwrapped(module)
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter
        for name, part in module.named_children():
            yield from walk(part, f"{prefix}.{name}" if prefix else name)

    return walk(module, "")


def gathered(parameter: Tensor, mean: Tensor) -> Tensor:
    """The whole of a parameter that is sharded over processes, unless its mean is sharded too."""
    if hasattr(parameter, "full_tensor") and not hasattr(mean, "full_tensor"):
        return parameter.full_tensor()
    return parameter


def has_mean(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    """The cost of a student that disagrees with its teacher: the mean square difference of their class probabilities.

    Args:
        student: logits (N, classes).
        teacher: logits (N, classes), taken as constant.

    Returns:
        A scalar, the mean over N and classes.

    Raises:
        ValueError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"teacher: got shape {tuple(teacher.shape)}, needs {tuple(student.shape)} like student")
    return (student.softmax(-1) - teacher.detach().softmax(-1)).square().mean()


def ramp_up(progress: float) -> float:
    """The weight of a consistency cost at the start of training, where the teacher is poor: exp(-5 (1 - progress)^2).

    Args:
        progress: the part of the ramp that has passed, from 0 to 1. Beyond that the weight is 1.
    """
    return math.exp(-5 * (1 - min(max(progress, 0.0), 1.0)) ** 2)
