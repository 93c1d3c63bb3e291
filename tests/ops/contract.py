"""Rows of the contract: one for every operator and way to call it, with random inputs; and comparisons with the truth.

A new family joins by adding its rows. The bench and the tests of the kernels take their inputs from here too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature

import torch
from torch import Tensor

import fastladder
from fastladder import ops, reference

ACTIVATION, STATE, PARAMETER = "activation", "state", "parameter"


@dataclass(frozen=True)
class Argument:
    """A tensor that an operator takes, for results of shape (N, C, *S).

    Activations have the dtype that is tested, parameters that of arithmetic; recurrent states are activations that may
    have either.
    """

    kind: str
    shape: Callable[..., tuple[int, ...]]  # shape(N, C, *S)
    values: Callable[[Tensor], Tensor]  # from normal numbers to numbers that the argument may have
    is_data: bool = False  # training needs no gradient of it


def _normal(x: Tensor) -> Tensor:
    return x


def _binary(x: Tensor) -> Tensor:
    return (x > 0).to(x)


def _distribution(x: Tensor) -> Tensor:
    """Sums to one over channels, which are groups."""
    return x.softmax(1)


def activation(parts: int = 1, values: Callable = _normal) -> Argument:
    return Argument(ACTIVATION, lambda n, c, *s: (n, parts * c, *s), values)


def state() -> Argument:
    return Argument(STATE, lambda n, c, *s: (n, c, *s), _normal)


def data(values: Callable = _normal) -> Argument:
    """One value for all channels."""
    return Argument(ACTIVATION, lambda n, c, *s: (n, *s), values, is_data=True)


def parameter(*shape: int) -> Argument:
    """The last size counts output channels."""
    return Argument(PARAMETER, lambda n, c, *s: (*shape[:-1], shape[-1] * c), _normal)


def variance() -> Argument:
    return Argument(PARAMETER, lambda *_: (), torch.exp)


@dataclass(frozen=True)
class Row:
    """One operator with fixed options."""

    operator: str
    arguments: dict[str, Argument]  # in the order of the operator
    options: dict = field(default_factory=dict)
    outputs: int = 1
    projections: int = 0  # the first arguments that go into one list
    keeps_layout: bool = True  # results lie in memory as the first argument; else they are contiguous
    kept: int = 0  # numbers for each one of the first output that the backward pass takes beside inputs and statistics
    wide_states: bool = False  # states have the dtype of arithmetic; activations are then bfloat16 by default
    only_sums: bool = False  # every output is a sum, in the dtype of arithmetic

    @property
    def name(self) -> str:
        given = [f"{k}={v}" for k, v in self.options.items()]
        count = [f"J={self.projections}"] if self.projections else []
        takes_gain = "gain" in signature(getattr(reference, self.operator)).parameters
        bare = ["bare"] if takes_gain and "gain" not in self.arguments else []
        wide = ["wide_states"] if self.wide_states else []
        return "-".join([self.operator, *count, *given, *bare, *wide])

    @property
    def is_sequence(self) -> bool:
        """Whether activations are (T, N, C)."""
        return self.operator in ("lstm_sequence", "moments_sequence")

    @property
    def registered(self) -> str:
        """The registered operator that the public one calls: of the same name, but ladder_combine calls combine_g1."""
        return "combine_g1" if self.operator == "ladder_combine" else self.operator

    def function(self, where=ops) -> Callable[..., tuple[Tensor, ...]]:
        """The operator, of the public functions or the reference, from this row's tensors to a tuple of outputs."""
        operator, options, listed = getattr(where, self.operator), self.options, self.projections
        named = [name for name in self.arguments if name in ("gain", "bias")]  # these come last
        unnamed = len(self.arguments) - len(named)

        def call(*tensors: Tensor) -> tuple[Tensor, ...]:
            positional = [list(tensors[:listed]), *tensors[listed:unnamed]] if listed else tensors[:unnamed]
            result = operator(*positional, **dict(zip(named, tensors[unnamed:], strict=True)), **options)
            return result if isinstance(result, tuple) else (result,)

        return call

    def call(self, *tensors: Tensor, where=ops) -> tuple[Tensor, ...]:
        return self.function(where)(*tensors)

    def inputs(self, shape, dtype=None, device="cpu", layout="contiguous", seed=0) -> list[Tensor]:
        """Random tensors for an output of shape (N, C, *S)."""
        generator = torch.Generator().manual_seed(seed)
        dtype = dtype or (torch.bfloat16 if self.wide_states else torch.float32)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        dtypes = {ACTIVATION: dtype, STATE: wide if self.wide_states else dtype, PARAMETER: wide}
        tensors = []
        for argument in self.arguments.values():
            x = argument.values(torch.randn(argument.shape(*shape), generator=generator, dtype=torch.float64))
            x = x.to(device, dtypes[argument.kind])
            tensors.append(x if argument.kind == PARAMETER else LAYOUTS[layout](x))
        return tensors


LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "strided": lambda x: torch.stack([x, torch.full_like(x, 7.0)], dim=-1)[..., 0],
    "offset": lambda x: torch.cat([torch.full_like(x.flatten()[:1], 7.0).expand(3), x.flatten()])[3:].view(x.shape),
    "transposed": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
    "expanded": lambda x: x[:, :, :1].expand(x.shape) if x.dim() > 2 else x[:1].expand(x.shape),
}


MOST_STEPS = 5  # of a sequence


def lstm_gates(norm: str, count: int = 2, *, affine: bool = True, wide_states: bool = False) -> Row:
    """A row with `count` projections; affine ones have gain and bias."""
    arguments = {f"projections[{j}]": activation(4) for j in range(count)} | {"cell": state()}
    arguments |= {"gain": parameter(count, 4), "bias": parameter(4)} if affine else {}
    return Row("lstm_gates", arguments, {"norm": norm}, 2, count, wide_states=wide_states)


def _contraction(x: Tensor) -> Tensor:
    """A weight (4C, C) or (C, C) under which states do not grow, and errors with them."""
    return 0.5 * x / max(x.shape[1], 1) ** 0.5


def lstm_sequence(norm: str, *, affine: bool = True, wide_states: bool = False) -> Row:
    """A row whose sequences are as long as the last size of S, but short, as a norm makes errors grow with time.

    For the same reason there are four times as many samples where they are normalised together.
    """
    times = 4 if norm == "batch" else 1

    def of_sequence(n: int, c: int, *s: int) -> tuple[int, ...]:
        return (min(s[-1], MOST_STEPS) if s else 1, times * n, 4 * c)

    arguments = {"projections": Argument(ACTIVATION, of_sequence, _normal)}
    arguments |= {"hidden": Argument(ACTIVATION, lambda n, c, *s: (times * n, c), _normal)}
    arguments |= {"cell": Argument(STATE, lambda n, c, *s: (times * n, c), _normal)}
    arguments |= {"weight": Argument(ACTIVATION, lambda n, c, *s: (4 * c, c), _contraction)}
    arguments |= {"gain": parameter(2, 4), "bias": parameter(4)} if affine else {}
    # The outputs, the cells, and the projections of the hidden states of all steps.
    return Row("lstm_sequence", arguments, {"norm": norm}, 3, keeps_layout=False, kept=6, wide_states=wide_states)


def combine_g1(norm: str, *, affine: bool = True, squash_gate: bool = False) -> Row:
    arguments = {"projection": activation(), "lateral": activation(), "gate": parameter(5, 1)}
    arguments |= {"content": parameter(5, 1)} | ({"gain": parameter(1), "bias": parameter(1)} if affine else {})
    return Row("combine_g1", arguments, {"norm": norm, "squash_gate": squash_gate})


def combine_g2(norm: str, *, affine: bool = True) -> Row:
    arguments = {"top": activation(3), "lateral": activation(3), "weights": parameter(3, 5, 1)}
    arguments |= {"gain": parameter(2, 3), "bias": parameter(3)} if affine else {}
    return Row("combine_g2", arguments, {"norm": norm})


def combine_g3_hidden(norm: str, *, affine: bool = True) -> Row:
    arguments = {"top": activation(), "lateral": activation()}
    arguments |= {"gain": parameter(2, 1), "bias": parameter(1)} if affine else {}
    return Row("combine_g3_hidden", arguments, {"norm": norm})


def combine_g3() -> Row:
    return Row("combine_g3", {"projections": activation(3)})


def ladder_combine(*, squash_gate: bool = False) -> Row:
    arguments = {"lateral": activation(), "top": activation(), "weights": parameter(10, 1)}
    return Row("ladder_combine", arguments, {"squash_gate": squash_gate})


# Channels are groups from here on, and S the dimensions of the data.


def group_evidence(delta: str = "residual", *, features: bool = False) -> Row:
    """A row of group_evidence, or with `features` of group_features: both take the same inputs."""
    arguments = {"noisy": data(), "mean": activation(), "mask": activation(values=_distribution)}
    options = {"noise_variance": 0.3, "delta": delta}
    operator, outputs = ("group_features", 1) if features else ("group_evidence", 2)
    return Row(operator, arguments | {"variance": variance()}, options, outputs, keeps_layout=False)


def group_evidence_bernoulli(*, features: bool = False) -> Row:
    """A row of group_evidence_bernoulli, or with `features` of group_features_bernoulli: both take the same inputs."""
    arguments = {"noisy": data(_binary), "probability": activation(values=torch.sigmoid)}
    arguments |= {"mask": activation(values=_distribution)}
    operator, outputs = ("group_features_bernoulli", 1) if features else ("group_evidence_bernoulli", 2)
    return Row(operator, arguments, {"flip_probability": 0.2}, outputs, keeps_layout=False)


def group_mixture_nll() -> Row:
    arguments = {"target": data(), "mean": activation(), "mask_logits": activation(), "variance": variance()}
    return Row("group_mixture_nll", arguments, outputs=2, keeps_layout=False)


def group_mixture_nll_bernoulli() -> Row:
    arguments = {"target": data(_binary), "logits": activation(), "mask_logits": activation()}
    return Row("group_mixture_nll_bernoulli", arguments, outputs=2, keeps_layout=False)


def moments(operator: str) -> Row:
    return Row(operator, {"mean": activation(), "var": activation(values=torch.exp)}, outputs=2)


def moments_sequence(nonlinearity: str) -> Row:
    """A row whose sequences are as long as those of `lstm_sequence`."""

    def of_sequence(values: Callable = _normal) -> Argument:
        return Argument(ACTIVATION, lambda n, c, *s: (min(s[-1], MOST_STEPS) if s else 1, n, c), values)

    def weight(values: Callable) -> Argument:
        return Argument(ACTIVATION, lambda n, c, *s: (c, c), values)

    arguments = {"mean": of_sequence(), "var": of_sequence(torch.exp)}
    arguments |= {"hidden_mean": Argument(ACTIVATION, lambda n, c, *s: (n, c), _normal)}
    arguments |= {"hidden_var": Argument(ACTIVATION, lambda n, c, *s: (n, c), torch.exp)}
    arguments |= {"weight": weight(_contraction), "weight_of_var": weight(lambda x: _contraction(x).square())}
    arguments |= {"rate": Argument(PARAMETER, lambda n, c, *s: (c,), torch.sigmoid)}
    # The means, the preactivations' means and variances, and the spreads of all steps.
    options = {"nonlinearity": nonlinearity}
    return Row("moments_sequence", arguments, options, 4, keeps_layout=False, kept=4)


def wiener_kl(*, exact: bool = True) -> Row:
    """A row whose channels are time steps, and whose S are features of them."""

    def sequence(values: Callable) -> Argument:
        return Argument(ACTIVATION, lambda n, c, *s: (c, n, math.prod(s)), values)

    arguments = {"mean": sequence(_normal), "var": sequence(torch.exp)}
    return Row("wiener_kl", arguments, {"exact": exact}, keeps_layout=False, only_sums=True)


def _gaussian(*names: str) -> dict[str, Argument]:
    """Mean and variance of every name."""
    pairs = [{f"mean_{name}": activation(), f"var_{name}": activation(values=torch.exp)} for name in names]
    return {name: argument for pair in pairs for name, argument in pair.items()}


def gaussian_merge() -> Row:
    return Row("gaussian_merge", _gaussian("a", "b"), outputs=2)


def gaussian_kl() -> Row:
    return Row("gaussian_kl", _gaussian("q", "p"), only_sums=True)


def merge_sample_kl() -> Row:
    noise = Argument(ACTIVATION, lambda n, c, *s: (n, c, *s), _normal, is_data=True)
    return Row("merge_sample_kl", _gaussian("d", "t", "p") | {"noise": noise}, outputs=4)


def importance_bound() -> Row:
    """A row whose channels are samples, of which there is always one."""
    return Row("importance_bound", {"log_weights": state()}, {"dim": 1}, keeps_layout=False, only_sums=True)


MOMENTS = [moments(operator) for operator in ("tanh_moments", "sigmoid_moments", "relu_moments")]
MOMENTS_SEQUENCES = [moments_sequence(nonlinearity) for nonlinearity in ("tanh", "sigmoid", "relu")]
WIENER_KL = [wiener_kl(exact=exact) for exact in (True, False)]
GAUSSIAN = [gaussian_merge(), gaussian_kl(), merge_sample_kl()]
NORMS = ("none", "layer", "batch")
ROWS = [
    *(lstm_gates(norm, 1, affine=False) for norm in NORMS),
    *(lstm_gates(norm, count) for norm in NORMS for count in (1, 2, 3)),
    *(lstm_sequence(norm, affine=affine) for norm in NORMS for affine in (False, True)),
    *(combine_g1(norm, squash_gate=squash) for norm in NORMS for squash in (False, True)),
    *(combine_g2(norm, affine=affine) for norm in NORMS for affine in (False, True)),
    *(combine_g3_hidden(norm, affine=affine) for norm in NORMS for affine in (False, True)),
    combine_g3(),
    *(ladder_combine(squash_gate=squash) for squash in (False, True)),
    *(group_evidence(delta) for delta in ("residual", "weighted", "gradient")),
    group_evidence_bernoulli(),
    group_evidence("gradient", features=True),
    group_evidence_bernoulli(features=True),
    group_mixture_nll(),
    group_mixture_nll_bernoulli(),
    *MOMENTS,
    *MOMENTS_SEQUENCES,
    *GAUSSIAN,
    *WIENER_KL,
]
# Operators that run the reference on every backend, as they have no kernel.
COMPOSITE_ROWS = [importance_bound()]
# The operators with recurrent states once more, where these are float32 beside bfloat16 activations.
MIXED_ROWS = [
    lstm_gates("none", 1, affine=False, wide_states=True),
    lstm_gates("batch", 2, wide_states=True),
    lstm_gates("layer", 3, wide_states=True),
    *(lstm_sequence(norm, wide_states=True) for norm in NORMS),
]


def evaluate(row: Row, inputs: list[Tensor], where=ops, unused: int | None = None) -> list[Tensor]:
    """Outputs, then gradients of all inputs for random cotangents; `unused` names an output that gets none.

    Cotangents are such as bfloat16 can hold, so that they are the same in every dtype.
    """
    leaves = [x.detach().requires_grad_() for x in inputs]
    outputs = row.call(*leaves, where=where)
    generator = torch.Generator().manual_seed(1)
    used = [y for i, y in enumerate(outputs) if i != unused]
    cotangents = [torch.randn(y.shape, generator=generator).bfloat16().to(y) for y in used]
    gradients = torch.autograd.grad(used, leaves, cotangents, allow_unused=True)
    return [*outputs, *(torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True))]


def distance(x: Tensor, truth: Tensor) -> float:
    """Largest error relative to the root mean square of the true values, or to 0.1 where those are smaller."""
    if truth.numel() == 0:
        return 0.0
    scale = truth.double().square().mean().sqrt().clamp_min(0.1)
    return ((x.double() - truth.double()).abs().max() / scale).item()


# A handful of float32 roundings of 6e-8 each, multiplied by gains and slopes, in a different order on either side.
FLOOR = 5e-6
# In half precision both round the same float32 result once, which is half a unit of 2^-8 or 2^-11: where float32 lands
# beside a tie they may round apart, so one unit of the largest values is the floor.
NARROW_FLOOR = {torch.bfloat16: 2**-6, torch.float16: 2**-9}


def assert_as_good_as_reference(
    row: Row, inputs: list[Tensor], floor: float = FLOOR, unused: int | None = None
) -> None:
    """Against float64, the fused operator errs at most twice as much as the reference in the same dtype.

    Args:
        floor: an error that is always allowed at every step; at least NARROW_FLOOR for results of those dtypes.
    """
    got = evaluate(row, inputs, unused=unused)
    same_dtype = evaluate(row, inputs, where=reference, unused=unused)
    with fastladder.use_backend("reference"):
        truth = evaluate(row, [x.double() for x in inputs], where=reference, unused=unused)
    labels = [f"output {i}" for i in range(row.outputs)] + [f"gradient of {name}" for name in row.arguments]
    for label, x, y, z in zip(labels, got, same_dtype, truth, strict=True):
        assert x.shape == z.shape, label
        assert x.dtype == y.dtype, label
        allowed = max(floor, NARROW_FLOOR.get(x.dtype, 0.0))
        if row.is_sequence:  # the hidden states between its steps are rounded to the dtype of activations
            allowed = max(floor, NARROW_FLOOR.get(inputs[0].dtype, 0.0)) * MOST_STEPS
        bound = 2 * distance(y, z) + allowed
        assert distance(x, z) <= bound, f"{label}: error {distance(x, z):.2e}, reference {distance(y, z):.2e}"
