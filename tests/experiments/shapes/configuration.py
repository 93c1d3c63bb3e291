"""The configuration of a run on shapes, in miniature."""


def on_shapes(sizes, model, **trainer):
    """All but the seed. `sizes` are those of train, valid and test."""
    return {
        "data": {"dataset": "shapes", "sizes": list(sizes)},
        "model": model,
        "trainer": trainer,
        "test": {"groups": 4, "objects": 3, "iterations": 5},
    }
