"""Triton kernels, registered as `torch.ops.fastladder_triton`. Installed as `fastladder.kernels`.

One file a family, each with its kernels and the functions that launch them; `tiles`, `grouping_tiles` and
`normalization` are what these share. On a CPU the kernels run under Triton's interpreter (TRITON_INTERPRET=1).
"""

import torch

from fastladder.kernels import gated_combine, grouping, lstm_gates
from fastladder.ops import registration

NAMESPACE = "fastladder_triton"
FAMILIES = (lstm_gates, gated_combine, grouping)

# Library.impl costs a third of a call through torch.library.custom_op.
_library = torch.library.Library(NAMESPACE, "DEF")


def _register() -> None:
    launchers = {name: value for family in FAMILIES for name, value in vars(family).items()}
    for op in registration.OPERATORS:
        for name in (op.name, f"{op.name}_backward"):
            _library.define(name + torch.library.infer_schema(launchers[name], mutates_args=()))
            for key in ("CPU", "CUDA"):
                _library.impl(name, launchers[name], key)
    registration.attach(NAMESPACE)


_register()
