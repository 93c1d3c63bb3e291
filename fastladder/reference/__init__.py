"""The executable specification: every operator in plain PyTorch that reads like the papers.

Nothing here validates or optimises. `fastladder.ops` offers the same names and signatures with checks and
fused kernels, and falls back to these functions where no kernel exists.
"""

from fastladder.reference.gated_combine import combine_g1, combine_g2, combine_g3, combine_g3_hidden
from fastladder.reference.lstm_gates import lstm_gates

__all__ = ["combine_g1", "combine_g2", "combine_g3", "combine_g3_hidden", "lstm_gates"]
