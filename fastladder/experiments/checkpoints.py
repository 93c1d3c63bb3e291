"""How checkpoints are written."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fastladder.experiments.files import write


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints whole or not at all, see `fastladder.experiments.files.write`.

    Lightning's own way copies from the folder for temporary files, and cuts the last checkpoint short on a full disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write(Path(path), content.getbuffer())
