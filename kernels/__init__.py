"""Triton kernels, registered as `torch.ops.fastladder_triton`. Installed as `fastladder.kernels`.

The file of a family has its operators: kernels, and the functions that launch them. lstm_gates and gated_combine share
`tiles`, `statistics` and `preactivation`. G3, whose kernels differ from those of G1 and G2, is in `gated_combine_g3`.
`lstm_sequence` calls those of lstm_gates, and `moments_sequence` those of moments; both share `sequences`.
The kernels of grouping are in `grouping_evidence` and `grouping_mixture`, over the tiles of `grouping_tiles`.
Those of moments go over all elements alike, those of gaussian over elements or over rows; `wiener_kl`, the operator of
sequences, has a file of its own.

On a CPU the kernels run under Triton's interpreter (TRITON_INTERPRET=1).
"""

import torch

from fastladder.kernels import (
    gated_combine,
    gated_combine_g3,
    gaussian,
    grouping,
    lstm_gates,
    lstm_sequence,
    moments,
    moments_sequence,
    wiener_kl,
)
from fastladder.ops import registration

NAMESPACE = "fastladder_triton"
FAMILIES = (
    lstm_gates,
    lstm_sequence,
    gated_combine,
    gated_combine_g3,
    grouping,
    gaussian,
    wiener_kl,
    moments,
    moments_sequence,
)

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
