from dataclasses import replace

import pytest
from lightning.pytorch import Trainer

from fastladder.experiments.registry import TABLES, Place
from fastladder.experiments.tables import Outcome
from tests.experiments.reproduce import tiny
from tests.experiments.reproduce.tiny import Tiny


@pytest.fixture(scope="module", autouse=True)
def _registered():
    """One entry is all that it takes to join."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny", Place(tiny.__name__, "TINY"))
        yield


@pytest.fixture
def reproduce(tmp_path):
    return Tiny(tmp_path)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    command = Tiny(tmp_path_factory.mktemp("unbroken"))
    assert command("--row=full") == 0
    return command


@pytest.fixture
def never_train(monkeypatch):
    monkeypatch.setattr(Trainer, "fit", lambda *arguments, **options: pytest.fail("a training began"))


@pytest.fixture
def pretended(monkeypatch):
    """Rows that are done at once; returns the attempts that were made."""
    attempts = []

    def attempt(asked):
        attempts.append(asked)
        seed = asked.configuration["seed"]
        return Outcome(True, 7, 60.0, {"classification_error": 1.0 + seed}, [0.1], {}, {"device": "an abacus"})

    monkeypatch.setattr(tiny, "TINY", replace(tiny.TINY, attempt=attempt))
    return attempts
