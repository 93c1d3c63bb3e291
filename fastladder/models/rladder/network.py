"""The Recurrent Ladder network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastladder.models.rladder.rows import Dense, Level
from fastladder.models.spatial import Shape
from fastladder.nn.activation import check_init
from fastladder.nn.checks import check_shape, check_state
from fastladder.nn.convolution1d import arranging_once
from fastladder.nn.layout import channels_last, gains_from_channels_last, like_layout
from fastladder.nn.reset import reset_children
from fastladder.ops.checks import check_flag, check_option

ALIGNMENTS = ("inverse", "same")


class RowState(NamedTuple):
    """What one recurrent row of the encoder carries from one time step to the next."""

    hidden: Tensor  # (N, C, *S)
    cell: Tensor  # (N, C, *S)
    decoded: Tensor | None  # (N, C, *S), the decoder's output at this level; None where there is no feedback


RLadderState = tuple[RowState, ...]  # one for each recurrent row, from the bottom up


class RLadderOutput(NamedTuple):
    """What an `RLadder` returns for a sequence of T frames. For a single step the dimension T is missing."""

    prediction: Tensor | None  # (N, T, C, *S), at t that of frame t + 1; None where the network does not predict
    logits: Tensor | None  # (N, T, classes); None where the network does not classify
    state: RLadderState  # after the last frame


class RLadder(nn.Module):
    r"""A Recurrent Ladder network (Premont-Schwarz et al., 2017).

    In every time step the encoder goes from the bottom up, the decoder from the top down:

    .. math::
        e_0(t) = x(t), \qquad s_l(t), e_l(t) = f_l(e_{l-1}(t), \, d_l(t-1), \, s_l(t-1)) \\
        d_L(t) = e_L(t), \qquad d_l(t) = g_l(e_l(t), \, d_{l+1}(t)), \qquad \hat x(t+1) = d_0(t)

    Only the recurrent rows of the encoder, ConvLSTM and LSTM, have a state s and take the decoder's feedback d(t-1).
    State and feedback are zero at first. Between frame and prediction, and in its state, the network uses the memory
    layout in which convolutions are fastest.

    Args:
        levels: the rows of the network from the bottom up, such as `rladder_occluded_digits()`. A last row that
            is `Dense` makes the logits.
        input_shape: of one frame, (C, *S).
        alignment: "inverse": the decoder cell beside an encoder row inverts that row: it decodes the row's input.
            "same": it decodes the row's output; level 0 has a cell like that of row 1.
        init: the initial activations of G1 and G2 cells, "default" or "ladder" (see `fastladder.nn.G1`).
        steps: the number of time steps for which batch normalisation has running statistics of their own.
        feedback: whether outputs of the decoder are inputs of the encoder in the next time step.
        detach_feedback: whether the gradient stops there, so that a decoder learns to predict the next frame and not to
            feed back. In short trainings both tasks come out better.
        decoder: whether there is a decoder. False leaves a hierarchical recurrent network without feedback and
            prediction.
        predict: whether the next frame is predicted, which needs a decoder cell beside the lowest row.
        classify: whether there are logits. False leaves out a last `Dense` row that the decoder does not need.

    Raises:
        ValueError, TypeError: an argument is wrong, or nothing is left to predict or classify; the message names it.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        input_shape: Sequence[int],
        *,
        alignment: str = "inverse",
        init: str = "default",
        steps: int = 1,
        feedback: bool = True,
        detach_feedback: bool = False,
        decoder: bool = True,
        predict: bool = True,
        classify: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_option("alignment", alignment, ALIGNMENTS)
        check_init(init)
        flags = dict(
            feedback=feedback,
            detach_feedback=detach_feedback,
            decoder=decoder,
            predict=predict,
            classify=classify,
        )
        for name, flag in flags.items():
            check_flag(name, flag)
        if not isinstance(levels, Sequence) or not levels or not all(isinstance(level, Level) for level in levels):
            raise TypeError(f"levels: got {levels!r}, needs a sequence of Level")
        levels = list(levels)
        self.input_shape: Shape = check_shape("input_shape", input_shape)
        if not 2 <= len(self.input_shape) <= 4:
            raise ValueError(f"input_shape: got {self.input_shape}, needs (C, *S) with one to three spatial sizes")
        ends_dense = isinstance(levels[-1].encoder, Dense)
        if not classify and ends_dense and levels[-1].decoder is None:
            levels.pop()
        self.feedback, self.classify = feedback and decoder, classify and ends_dense
        self.predict = predict and decoder and levels[0].decoder is not None
        if not self.predict and not self.classify:
            raise ValueError(
                "predict, classify: got no task, needs a decoder that predicts or a last Dense row that classifies"
            )
        self.detach_feedback = detach_feedback
        if self.feedback and self.detach_feedback and not self.predict:
            raise ValueError("detach_feedback: got True, needs a decoder that predicts: this one would learn nothing")

        options: dict[str, Any] = {"steps": steps, "device": device, "dtype": dtype}
        self.recurrent = [number for number, level in enumerate(levels, start=1) if level.encoder.recurrent]
        self.shapes = [self.input_shape]
        self.encoder = nn.ModuleList()
        self._build_encoder(levels, options)
        # The decoder goes down to the lowest level that something uses.
        used = [0] * self.predict + self.recurrent * self.feedback
        self.decoded = range(min(used, default=len(levels)), len(levels))
        self.decoder = nn.ModuleDict()
        self._build_decoder(levels, alignment, options | {"init": init})
        self.register_load_state_dict_post_hook(explain_missing_norms)

    def _build_encoder(self, levels: list[Level], options: dict[str, Any]) -> None:
        for number, level in enumerate(levels, start=1):
            with _naming(f"levels[{number - 1}].encoder"):
                below, above = self.shapes[-1], level.encoder.output_shape(self.shapes[-1])
                if 0 in above:
                    raise ValueError(f"{level.encoder} leaves nothing of an input of shape {below}")
                feedback_size = {"feedback_size": above[0] if self.feedback else 0} if number in self.recurrent else {}
                self.encoder.append(level.encoder.build(below, **feedback_size, **options))
            self.shapes.append(above)

    def _build_decoder(self, levels: list[Level], alignment: str, options: dict[str, Any]) -> None:
        for number in self.decoded:
            beside = number if alignment == "inverse" else max(number - 1, 0)
            cell, stride = levels[beside].decoder, levels[number].encoder.stride
            if cell is not None:
                with _naming(f"levels[{beside}].decoder"):
                    top, lateral = self.shapes[number + 1], self.shapes[number]
                    self.decoder[str(number)] = cell.build(top, lateral, stride=stride, **options)

    def reset_parameters(self) -> None:
        """Draws every row and cell anew."""
        reset_children(self)

    def initial_state(self, batch_size: int) -> RLadderState:
        """The state of zeros with which every sequence begins. Passing no state gives the same output, faster."""
        like = next(self.parameters())

        def zeros(level: int) -> Tensor:
            return like.new_zeros(batch_size, *self.shapes[level])

        return tuple(
            RowState(zeros(level), zeros(level), zeros(level) if self.feedback else None) for level in self.recurrent
        )

    def forward(self, frames: Tensor, state: RLadderState | None = None, step: int = 0) -> RLadderOutput:
        """Runs over a sequence.

        Args:
            frames: (N, T, C, *S).
            state: that an earlier call returned, to continue its sequence; missing means zero.
            step: the time step of the first frame, for the running statistics of batch normalisation.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        if not isinstance(frames, Tensor):
            raise TypeError(f"frames: got {type(frames).__name__}, needs a tensor")
        if frames.shape[2:] != self.input_shape or frames.dim() < 2 or frames.shape[1] == 0:
            needed = ", ".join(map(str, self.input_shape))
            raise ValueError(f"frames: got shape {tuple(frames.shape)}, needs (N, T, {needed}) with T above 0")
        predictions, logits = [], []
        with arranging_once(self):
            for t, frame in enumerate(frames.unbind(1)):
                output = self.step(frame, state, step + t)
                predictions.append(output.prediction)
                logits.append(output.logits)
                state = output.state
        if len(logits) == 1 and not self.predict:
            logits = [self._with_decoder_gradients(output)]
        return RLadderOutput(_stack(predictions), _stack(logits), output.state)

    @staticmethod
    def _with_decoder_gradients(output: RLadderOutput) -> Tensor:
        """The logits, whose backward pass gives the decoder gradients of zero.

        After a single frame nothing has used the decoder, and `DistributedDataParallel` waits for a gradient of every
        parameter.
        """
        assert output.logits is not None
        decoded = [row.decoded for row in output.state if row.decoded is not None]
        return output.logits + sum(d[:0].sum().to(output.logits.dtype) for d in decoded)

    def step(self, frame: Tensor, state: RLadderState | None = None, step: int = 0) -> RLadderOutput:
        """Runs over one frame: the encoder from the bottom up, then the decoder from the top down.

        Args:
            frame: (N, C, *S).
            state: of the step before; missing means zero.
            step: the time step, for the running statistics of batch normalisation.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        if not isinstance(frame, Tensor):
            raise TypeError(f"frame: got {type(frame).__name__}, needs a tensor")
        if frame.shape[1:] != self.input_shape:
            raise ValueError(
                f"frame: got shape {tuple(frame.shape)}, needs (N, {', '.join(map(str, self.input_shape))})"
            )
        if state is not None and (isinstance(state, Tensor) or not isinstance(state, Sequence)):
            raise TypeError(f"state: got {type(state).__name__}, needs the state of an earlier output")
        if state is not None and len(state) != len(self.recurrent):
            raise ValueError(f"state: got {len(state)} rows, needs {len(self.recurrent)}")
        before = {} if state is None else dict(zip(self.recurrent, map(check_row, state), strict=True))
        after: dict[int, tuple[Tensor, Tensor]] = {}
        encoded = [channels_last(frame) if gains_from_channels_last(frame) else frame]
        for number, row in enumerate(self.encoder, start=1):
            if number in self.recurrent:
                hidden, cell, feedback = before.get(number, (None, None, None))
                after[number] = row(encoded[-1], None if hidden is None else (hidden, cell), feedback, step=step)
                encoded.append(after[number][0])
            else:
                encoded.append(row(encoded[-1], step=step))
        decoded = {len(self.encoder): encoded[-1]}
        for number in reversed(self.decoded):
            decoded[number] = encoded[number]
            if str(number) in self.decoder:
                decoded[number] = self.decoder[str(number)](decoded[number + 1], encoded[number], step=step)
        return RLadderOutput(
            prediction=like_layout(decoded[0], frame) if self.predict else None,
            logits=encoded[-1] if self.classify else None,
            state=tuple(RowState(*after[n], decoded=self._feedback(decoded, n)) for n in self.recurrent),
        )

    def _feedback(self, decoded: dict[int, Tensor], level: int) -> Tensor | None:
        """What the encoder gets of the decoder's output at a level in the next time step."""
        if not self.feedback:
            return None
        return decoded[level].detach() if self.detach_feedback else decoded[level]

    def extra_repr(self) -> str:
        switches = ("feedback", "predict", "classify")
        return f"{self.input_shape}, " + ", ".join(f"{name}={getattr(self, name)}" for name in switches)


def check_row(row: Any) -> RowState:
    """Checks what one recurrent row carries."""
    if not isinstance(row, tuple) or len(row) != 3:
        raise TypeError(f"state: got a row of type {type(row).__name__}, needs hidden, cell and decoded (RowState)")
    check_state(row[:2])
    return RowState(*row)


def explain_missing_norms(network: nn.Module, incompatible: Any) -> None:
    """Says of a state_dict from before pools and dense rows had batch normalisation why it does not fit."""
    for index, name in enumerate(incompatible.missing_keys):
        if name.endswith(".norm.weight"):
            incompatible.missing_keys[index] = (
                f"{name} (networks saved before pools and dense rows had batch normalisation have to be trained anew)"
            )
            return


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Names the level in the message of an error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _stack(steps: list[Tensor | None]) -> Tensor | None:
    return None if steps[0] is None else torch.stack([s for s in steps if s is not None], dim=1)
