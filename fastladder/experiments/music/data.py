"""The pieces of a run: of which collection, in which chunks and batches."""

from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import DataLoader

from fastladder.data import PianoRolls, PianoRollSplits, RollBatch, RollChunks, chorales, made_up_tunes, polymusic
from fastladder.experiments.data import BatchedData
from fastladder.experiments.seeding import mixed


class MusicData(BatchedData):
    """Batches of piano rolls: chunks of pieces to learn from, whole pieces to evaluate by.

    Args:
        collection: "tunes", which a program makes up, or "jsb", "nottingham", "piano" or "muse", from files of the
            user's; see `fastladder.data.polymusic`.
        batch_size: chunks in a batch to learn from, over all processes, and pieces in a batch to evaluate by.
        frame: how long a time step is: "own", as in the files, or "quarter" or "eighth"; the latter are of those pieces
            of "jsb" that the music21 which the user has installed has too, see `fastladder.data.chorales`.
        steps: of a chunk at most.
        join_validation: whether the pieces to choose by are also learnt from.
        folder: where the collection's file lies; None looks at FASTLADDER_DATA.
        download: is refused, as the files cannot be fetched.
        seed: of the order.
    """

    def __init__(
        self,
        collection: Literal["tunes", "jsb", "nottingham", "piano", "muse"] = "tunes",
        frame: Literal["own", "quarter", "eighth"] = "own",
        batch_size: int = 20,
        steps: int = 100,
        join_validation: bool = False,
        folder: str | Path | None = None,
        download: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, needs 1 or more")
        if download:
            raise ValueError("download: got True, and no address of these collections is known to work")
        if frame != "own" and collection != "jsb":
            raise ValueError(f"frame: got {frame!r}, needs 'own' for the collection {collection!r}")
        self.batch_size, self.seed = batch_size, seed
        splits = made_up_tunes() if collection == "tunes" else polymusic(collection, folder)
        if frame != "own":
            splits = chorales(splits, frame)
        self.pieces = PianoRollSplits(
            splits.train.joined(splits.valid) if join_validation else splits.train, splits.valid, splits.test
        )
        self.train = RollChunks(self.pieces.train, steps)

    def train_dataloader(self) -> DataLoader[RollBatch]:
        """One epoch: every chunk once. The trainer asks for a new one every epoch."""
        generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        return self.loader(self.train, self.train.batches(self.batch_size, generator))

    def val_dataloader(self) -> DataLoader[RollBatch]:
        return self._whole(self.pieces.valid)

    def test_dataloader(self) -> DataLoader[RollBatch]:
        return self._whole(self.pieces.test)

    def _whole(self, pieces: PianoRolls) -> DataLoader[RollBatch]:
        chunks = RollChunks(pieces)
        return self.loader(chunks, chunks.batches(self.batch_size))

    def fingerprints(self) -> dict[str, str]:
        """The sha256 of all pieces, for train, valid and test."""
        return {name: pieces.fingerprint() for name, pieces in self.pieces._asdict().items()}
