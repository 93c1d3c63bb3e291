"""The table of README's section on speed, from a committed measurement: `python -m bench.readme bench/results/FILE`."""

import json
import sys
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
    "RLadder of Table 5": ("RLadder of Table 5", {"eager": "eager"}),
    "RLadder of Table 8": ("RLadder of Table 8", {"eager": "eager"}),
}


def speed_table(measurement: dict[str, Any], name: str) -> str:
    """The lines between the markers: a table of the first size of each network, and where it comes from.

    Args:
        measurement: the content of a file in bench/results.
        name: of the file.
    """
    lines = [
        "| training step | size | instead of | its ms | ours | | ours, bfloat16 | |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for network, (ours, others) in ROWS.items():
        row = next(r for r in measurement["training_steps"] if r["network"] == network and r["memory"] == "user")
        for other, description in others.items():
            milliseconds = row["milliseconds"]
            cells = [f"{milliseconds[other]:.1f}"]
            for variant in ("ours", "ours bfloat16"):
                cells += [f"{milliseconds[variant]:.1f}", factor(milliseconds[other] / milliseconds[variant])]
            lines.append(f"| {ours} | {row['input']} | {description} | {' | '.join(cells)} |")
    device, threads = measurement["device"], measurement["threads"]
    lines += ["", f"Milliseconds on {device}, {threads} threads, float32 unless said ([{name}](bench/results/{name}))."]
    return "\n".join(lines)


def factor(ratio: float) -> str:
    """How many times faster ours is, in bold where the other is ahead."""
    return f"{ratio:.2f}x" if ratio >= 1 else f"**{ratio:.2f}x**"


def replaced(text: str, table: str) -> str:
    """The text of README with a new table."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    README.write_text(replaced(README.read_text(), speed_table(json.loads(path.read_text()), path.name)))
