"""The Triton operators take the arguments that the compiled ones take."""

import pytest
import torch

from fastladder import extension
from fastladder.ops import registration

pytest.importorskip("triton")

import fastladder.kernels  # noqa: F401 - registers the operators

NAMES = [name for operator in registration.OPERATORS for name in (operator.name, f"{operator.name}_backward")]


@pytest.mark.skipif(extension.module is None, reason=f"nothing to compare with: {extension.load_error}")
@pytest.mark.parametrize("name", NAMES)
def test_schema_is_that_of_the_compiled_operator(name: str) -> None:
    triton_schema = getattr(torch.ops.fastladder_triton, name).default._schema
    native_schema = getattr(torch.ops.fastladder, name).default._schema

    def arguments(schema: torch.FunctionSchema) -> list[tuple[str, str]]:
        return [(argument.name, str(argument.type)) for argument in schema.arguments]

    assert arguments(triton_schema) == arguments(native_schema)
    assert [str(result.type) for result in triton_schema.returns] == [str(r.type) for r in native_schema.returns]
