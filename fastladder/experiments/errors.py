"""What can go wrong with a run."""


class RunError(ValueError):
    """A run that cannot be done as asked. One line says what came and the remedy."""


class NonFiniteCostError(ArithmeticError):
    """The cost became NaN or infinite. One line says at which step."""
