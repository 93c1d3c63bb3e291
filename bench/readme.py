"""README's table of speed, from committed measurements: `python -m bench.readme bench/results/FOLDER`."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- speed: written by bench/readme.py -->", "<!-- end of speed -->"

# network of the measurement -> what a user runs, and what they would run instead: variant -> its description
ROWS = {
    "ConvLSTM": ("`nn.ConvLSTM`", {"popular": "popular ConvLSTM", "popular compiled": "popular, `torch.compile`"}),
    "encoder-decoder": (
        "`nn.ConvLSTMCell` in a loop",
        {"popular": "popular cell", "popular compiled": "popular, `torch.compile`"},
    ),
    "LSTM": ("`nn.LSTM`", {"torch.nn.LSTM": "`torch.nn.LSTM`"}),
    "LSTM with layer norm": (
        '`nn.LSTM(norm="layer")`',
        {"eager": "eager loop", "torch.nn.LSTM": "`torch.nn.LSTM`, without a norm"},
    ),
    "FD-RNN": ("`nn.FastDropoutRNN`", {"eager": "eager loop", "torch.compile": "its step, `torch.compile`"}),
    "RLadder of Table 5": ("RLadder of Table 5", {"eager": "eager"}),
    "RLadder of Table 8": ("RLadder of Table 8", {"eager": "eager"}),
    "RTagger of Table 9": ("RTagger of Table 9", {"eager": "eager"}),
    "RTagger of Shapes": ("RTagger of Shapes", {"eager": "eager"}),
    "ladder VAE": ("ladder VAE of five layers", {"eager": "eager", "torch.compile": "`torch.compile`"}),
}


def speed_table(measurements: Iterable[dict[str, Any]], folder: str) -> str:
    """The lines between the markers: a table of the first size of each network, and where it comes from.

    Args:
        measurements: the content of the files in a folder, which are of one device.
        folder: its name in bench/results.
    """
    measurements = list(measurements)
    steps = [step for measurement in measurements for step in measurement.get("training_steps", [])]
    lines = [
        "| training step | size | instead of | its ms | ours | | ours, bfloat16 | |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for network, (ours, others) in ROWS.items():
        row = next(step for step in steps if step["network"] == network and step["memory"] == "user")
        for other, description in others.items():
            milliseconds = row["milliseconds"]
            cells = [f"{milliseconds[other]:.1f}"]
            for variant in ("ours", "ours bfloat16"):
                cells += [f"{milliseconds[variant]:.1f}", factor(milliseconds[other] / milliseconds[variant])]
            lines.append(f"| {ours} | {row['input']} | {description} | {' | '.join(cells)} |")
    (device, threads), *more = {(measurement["device"], measurement["threads"]) for measurement in measurements}
    if more:
        raise ValueError(f"{folder}: got measurements of {more} too, needs those of one device")
    lines += [
        "",
        f"Milliseconds on {device}, {threads} threads, float32 unless said",
        f"([measurements](bench/results/{folder})).",
    ]
    return "\n".join(lines)


def factor(ratio: float) -> str:
    """How many times faster ours is, in bold where the other is ahead."""
    return f"{ratio:.2f}x" if ratio >= 1 else f"**{ratio:.2f}x**"


def replaced(text: str, table: str) -> str:
    """The text of README with a new table."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def read_measurements(folder: Path) -> list[dict[str, Any]]:
    """The content of the files in a folder of bench/results."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"{folder}: got no measurements, needs a folder that `make bench` has written")
    return [json.loads(path.read_text()) for path in paths]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    README.write_text(replaced(README.read_text(), speed_table(read_measurements(folder), folder.name)))
