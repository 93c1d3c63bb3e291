"""Parameters away from their initial values, so that no test passes because a parameter is 0 or 1."""

import torch


def shuffled(module, scale=0.3):
    """Adds normal noise of standard deviation `scale` to every parameter of a module, and returns the module."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return module
