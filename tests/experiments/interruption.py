"""Ctrl-C in the middle of a training, for the tests of what can be gone on with."""

import signal

from fastladder.experiments.occluded_moving_digits.task import MovingDigitsTask


def interrupt_at(monkeypatch, method, call, task=MovingDigitsTask):
    """Presses Ctrl-C at the start of a call, counted from 1, of a method of a task."""
    original, calls = getattr(task, method), []

    def interrupted(self, batch, index):
        calls.append(index)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, index)

    monkeypatch.setattr(task, method, interrupted)
