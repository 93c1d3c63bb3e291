"""Moving MNIST by RTagger: Recurrent Ladder Networks, section 4.3, whose one number is the AMI."""

from fastladder.experiments.moving_digits.experiment import MOTION
from fastladder.experiments.phases import train_once
from fastladder.experiments.tables import Column, Row, Table, read_scales

MOTION_TABLE = Table(
    name="rtagger-motion",
    title="Moving digits grouped by their motion (Recurrent Ladder Networks, section 4.3)",
    columns=(
        Column("ami", "AMI"),
        Column("ami_last", "AMI, last frame"),
        Column("next_frame_error", "prediction error (1e-5)", factor=1e5, digits=0),
        Column("copy_last", "of copying (1e-5)", factor=1e5, digits=0),
        Column("free_running_error", "error of 6 more frames (1e-5)", factor=1e5, digits=0),
        Column("free_running_copy", "of copying (1e-5)", factor=1e5, digits=0),
    ),
    rows=(
        Row("rtagger", "RTagger"),
        Row("local", "RTagger without its narrow top"),
    ),
    scales=read_scales(__file__, "rtagger-motion"),
    experiment=MOTION,
    attempt=lambda attempt: train_once(attempt, MOTION),
)
