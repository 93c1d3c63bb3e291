"""The arithmetic in which a demonstration trains."""

import torch


def fastest_precision() -> str:
    """bfloat16 where the machine computes in it, which learns the same in less time (bench/results/precision.png)."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    has_products = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if has_products else "32-true"
