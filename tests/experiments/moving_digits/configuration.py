"""The configuration of a run on moving digits, in miniature."""

CONFIGURATION = {
    "data": {"source": "bundled", "frames": 4, "sizes": [50, 4, 6], "batch_size": 5},
    "model": {"widths": {"low": 3, "high": 4, "units": 5}, "learning_rate": 1e-2, "schedule": "linear"},
    "trainer": {"max_epochs": 2, "gradient_clip_val": 1.0, "accelerator": "cpu"},
}
