"""One step of an LSTM over projections that may be normalised."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.nn.checks import check_beside, check_features, check_size, check_state
from fastladder.nn.joined_weights import separate_weights
from fastladder.nn.layout import like_layout
from fastladder.nn.preactivation import Preactivation
from fastladder.nn.reset import fill, reset_children
from fastladder.nn.zero import with_zero_gradients, zero_state

State = tuple[Tensor, Tensor]


class GatedCell(nn.Module):
    """The base of `LSTMCell` and `ConvLSTMCell`, which differ in the kind of their projections only.

    The projections of input, state and feedback are separate, so that each can be normalised on its own and that of a
    missing state need not be computed.
    """

    input_projection: nn.Module
    hidden_projection: nn.Module
    feedback_projection: nn.Module | None
    preactivation: Preactivation

    def __init__(self, input_size: int, hidden_size: int, feedback_size: int, forget_bias: float, dims: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = check_size("input_size", input_size), check_size("hidden_size", hidden_size)
        self.feedback_size = check_size("feedback_size", feedback_size) if feedback_size != 0 else 0
        self.forget_bias, self.dims = forget_bias, dims

    def make_preactivation(
        self, *, norm: str, hidden_gain: float, feedback_gain: float, **options: Any
    ) -> Preactivation:
        """The sum of the projections of input, hidden state and, where there is one, feedback.

        Args:
            norm, hidden_gain, feedback_gain: as for `LSTMCell`.
            options: bias, steps, device and dtype.
        """
        for name, gain in {"hidden_gain": hidden_gain, "feedback_gain": feedback_gain}.items():
            if norm == "none" and gain != 1:
                raise ValueError(f"{name}: got {gain}, needs 1 with norm 'none', which has no gains")
        if not self.feedback_size and feedback_gain != 1:
            raise ValueError(f"feedback_gain: got {feedback_gain}, needs 1 where feedback_size is 0")
        gains = [1.0, hidden_gain, *([feedback_gain] if self.feedback_size else [])]
        return Preactivation(len(gains), 4 * self.hidden_size, norm=norm, initial_gains=gains, **options)

    def reset_parameters(self) -> None:
        """Draws weights as `torch.nn.Linear` and `Conv2d` do.

        Biases become 0, those of forget gates `forget_bias`; gains 1, `hidden_gain` and `feedback_gain`.
        """
        reset_children(self)
        if self.preactivation.bias is not None:
            gates = torch.tensor([0.0, self.forget_bias, 0.0, 0.0])  # i, f, g, o
            fill(self.preactivation.bias, gates.repeat_interleave(self.hidden_size))

    def load_joined_weights(self, weight: Tensor, bias: Tensor | None = None, *, gates: str) -> None:
        """Takes over the weights of an LSTM cell that projects input and hidden state together.

        Such a cell has one convolution, or in a dense cell one linear map, of `torch.cat([input, hidden], dim=1)`, and
        splits its output into the four gates. This cell then computes the same. It needs norm "none", a stride of 1, an
        odd kernel size and no feedback. It has no peephole connections, whose weights cannot be taken over.

        Args:
            weight: (4 hidden_size, input_size + hidden_size, *K), for the input first and then the hidden state.
            bias: (4 hidden_size,), which becomes the bias as it is, whatever `forget_bias`; missing means 0.
            gates: the order of the gates in weight and bias: the letters i (input gate), f (forget gate), g (candidate,
                which has the tanh) and o (output gate), such as "ifog".

        Raises:
            ValueError, TypeError: an argument does not fit, or the cell is not as needed; the message says how.
            RuntimeError: a projection has been parametrized, pruned, sharded or given a bias; see `load_state_dict`.
        """
        self.load_state_dict(separate_weights(self, weight, bias, gates))

    def forward(
        self,
        input: Tensor,
        state: State | None = None,
        feedback: Tensor | None = None,
        step: int = 0,
        joined_weight: Tensor | None = None,
    ) -> State:
        """One time step.

        Args:
            input: (N, input_size, *S).
            state: hidden and cell, each (N, hidden_size, *S'), where S' is S divided by the stride; missing means zero.
            feedback: (N, feedback_size, *S'); missing means zero.
            step: the time step, for the running statistics of norm "batch".
            joined_weight: what `join_weights` returned, where several time steps share it.

        Returns:
            the new hidden and cell, each (N, hidden_size, *S'). Under autocast the cell is float32.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        check_features("input", input, self.input_size, self.dims, self.input_projection)
        state = check_state(state)
        if feedback is not None and self.feedback_projection is None:
            raise ValueError("feedback: got a tensor, needs None since feedback_size is 0")
        return self._step(input, state, feedback, step, joined_weight)

    def _step(
        self, input: Tensor, state: State | None, feedback: Tensor | None, step: int, joined_weight: Tensor | None
    ) -> State:
        """`forward` of an input that has been checked."""
        hidden, cell = (None, None) if state is None else state
        projections = self._project_all(input, hidden, feedback, joined_weight)
        leader = projections[0]
        assert leader is not None
        if cell is None:
            cell = zero_state(leader, self.hidden_size)
        # The cell may have a wider dtype than the weights, as under autocast.
        check_features("state[1]", cell, self.hidden_size, self.dims)
        check_beside("state[1]", cell, leader)
        present = [p for p in projections if p is not None]
        optional = ((self.hidden_projection, hidden), (self.feedback_projection, feedback))
        unused = [module for module, value in optional if module is not None and value is None]

        def gates(*, bias: Tensor | None, **normalization: Any) -> State:
            bias = with_zero_gradients(bias, leader, unused)
            return ops.lstm_gates(present, cell, bias=bias, **normalization)

        return self.preactivation(projections, gates, step)

    def join_weights(self, input: Tensor) -> Tensor | None:
        """The weights of input and hidden state side by side, where one projection of both does for two; else None.

        Args:
            input: of a time step, or any with its dtype, device and memory layout.
        """
        return None

    def _project_all(
        self, input: Tensor, hidden: Tensor | None, feedback: Tensor | None, joined_weight: Tensor | None
    ) -> list[Tensor | None]:
        """The projections of input, hidden state and feedback; None for what is missing."""
        projected = self.input_projection(input)
        projections = [projected, self._project("state[0]", hidden, self.hidden_projection, projected)]
        if self.feedback_projection is not None:
            projections.append(self._project("feedback", feedback, self.feedback_projection, projected))
        return projections

    def _project(self, name: str, tensor: Tensor | None, projection: nn.Module, like: Tensor) -> Tensor | None:
        """The projection of the hidden state or the feedback; None where it is missing."""
        if tensor is None:
            return None
        size = self.feedback_size if name == "feedback" else self.hidden_size
        check_features(name, tensor, size, self.dims, projection)
        check_beside(name, tensor, like)
        return projection(like_layout(tensor, like))

    def extra_repr(self) -> str:
        feedback = f", feedback_size={self.feedback_size}" if self.feedback_size else ""
        return f"{self.input_size}, {self.hidden_size}{feedback}"


class LSTMCell(GatedCell):
    r"""A dense LSTM cell whose projections may be normalised, otherwise like `torch.nn.LSTMCell`.

    .. math::
        a = \mathrm{gain}_0 \, \mathrm{norm}(W_x x) + \mathrm{gain}_1 \, \mathrm{norm}(W_h h)
            + \mathrm{gain}_2 \, \mathrm{norm}(W_d d) + \mathrm{bias}, \qquad (i, f, g, o) = a \\
        c' = \sigma(f) \, c + \sigma(i) \tanh(g), \qquad h' = \sigma(o) \tanh(c')

    With norm "none" and no feedback it computes what `torch.nn.LSTMCell` computes, gates in the same order, where the
    bias is the sum of bias_ih and bias_hh. `load_joined_weights` takes over the weights of a cell with one
    linear map of input and hidden state.

    Args:
        input_size: features of the input x.
        hidden_size: features of hidden and cell.
        bias: whether there is a bias.
        norm: "none", "layer" (per sample over all gates) or "batch" (per feature over the batch).
        feedback_size: features of the third input d, which an RLadder takes from its decoder; 0 for none.
        forget_bias: the initial bias of the forget gate.
        hidden_gain, feedback_gain: with a norm, the initial gains of the hidden state's and of the feedback's
            projection; that of the input's is 1.
        steps: with norm "batch", the number of time steps with running statistics of their own.

    Shape:
        input (N, input_size), state and output (N, hidden_size), feedback (N, feedback_size).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        norm: str = "none",
        feedback_size: int = 0,
        forget_bias: float = 1.0,
        hidden_gain: float = 1.0,
        feedback_gain: float = 1.0,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, feedback_size, forget_bias, dims=0)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        gates = 4 * hidden_size
        self.input_projection = nn.Linear(input_size, gates, bias=False, **factory)
        self.hidden_projection = nn.Linear(hidden_size, gates, bias=False, **factory)
        self.feedback_projection = nn.Linear(feedback_size, gates, bias=False, **factory) if feedback_size else None
        self.preactivation = self.make_preactivation(
            norm=norm, hidden_gain=hidden_gain, feedback_gain=feedback_gain, bias=bias, steps=steps, **factory
        )
        self.reset_parameters()
