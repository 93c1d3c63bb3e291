"""The rows of the contract suite: one for every operator and way to call it. A new family joins by adding its rows."""

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
    values: Callable[[Tensor], Tensor]  # makes values that are allowed from normal ones


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
    """What all channels share."""
    return Argument(ACTIVATION, lambda n, c, *s: (n, *s), values)


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
    keeps_layout: bool = True  # of the first argument; else results are contiguous
    wide_states: bool = False  # of the dtype of arithmetic; activations are then bfloat16 where a test does not choose

    @property
    def name(self) -> str:
        given = [f"{k}={v}" for k, v in self.options.items()]
        count = [f"J={self.projections}"] if self.projections else []
        takes_gain = "gain" in signature(getattr(reference, self.operator)).parameters
        bare = ["bare"] if takes_gain and "gain" not in self.arguments else []
        wide = ["wide_states"] if self.wide_states else []
        return "-".join([self.operator, *count, *given, *bare, *wide])

    @property
    def registered(self) -> str:
        """The registered operator that the public one calls: of the same name, but ladder_combine calls combine_g1."""
        return "combine_g1" if self.operator == "ladder_combine" else self.operator

    def call(self, *tensors: Tensor, where=ops):
        positional = list(tensors)
        if self.projections:
            positional = [list(tensors[: self.projections]), *tensors[self.projections :]]
        names = list(self.arguments)[self.projections - 1 if self.projections else 0 :]
        named = {name: positional[i] for i, name in enumerate(names) if name in ("gain", "bias")}
        positional = [p for name, p in zip(names, positional, strict=True) if name not in named]
        result = getattr(where, self.operator)(*positional, **named, **self.options)
        return result if isinstance(result, tuple) else (result,)

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


def _gates(norm: str, count: int, affine: bool = True, wide_states: bool = False) -> Row:
    arguments = {f"projections[{j}]": activation(4) for j in range(count)} | {"cell": state()}
    if affine:
        arguments |= {"gain": parameter(count, 4), "bias": parameter(4)}
    return Row("lstm_gates", arguments, {"norm": norm}, 2, count, wide_states=wide_states)


def _rows() -> list[Row]:
    rows = []
    for norm in ("none", "layer", "batch"):
        for count in (1, 2, 3):
            if count == 1:
                rows.append(_gates(norm, count, affine=False))
            rows.append(_gates(norm, count))
        for squash in (False, True):
            g1 = {"projection": activation(), "lateral": activation(), "gate": parameter(5, 1)}
            g1 |= {"content": parameter(5, 1)}
            options = {"norm": norm, "squash_gate": squash}
            rows.append(Row("combine_g1", g1 | {"gain": parameter(1), "bias": parameter(1)}, options))
        g2 = {"top": activation(3), "lateral": activation(3), "weights": parameter(3, 5, 1)}
        rows.append(Row("combine_g2", g2, {"norm": norm}))
        rows.append(Row("combine_g2", g2 | {"gain": parameter(2, 3), "bias": parameter(3)}, {"norm": norm}))
        hidden = {"top": activation(), "lateral": activation()}
        rows.append(Row("combine_g3_hidden", hidden, {"norm": norm}))
        rows.append(Row("combine_g3_hidden", hidden | {"gain": parameter(2, 1), "bias": parameter(1)}, {"norm": norm}))
    rows.append(Row("combine_g3", {"projections": activation(3)}))
    for squash in (False, True):
        ladder = {"lateral": activation(), "top": activation(), "weights": parameter(10, 1)}
        rows.append(Row("ladder_combine", ladder, {"squash_gate": squash}))
    return rows


def _grouping_rows() -> list[Row]:
    """Channels are groups here, and S the dimensions of the data."""
    logits, mask = {"mask_logits": activation()}, {"mask": activation(values=_distribution)}
    gaussian = {"noisy": data(), "mean": activation()} | mask | {"variance": variance()}
    bernoulli = {"noisy": data(_binary), "probability": activation(values=torch.sigmoid)} | mask
    mixture = {"target": data(), "mean": activation()} | logits | {"variance": variance()}
    bernoulli_mixture = {"target": data(_binary), "logits": activation()} | logits
    noise, flips = {"noise_variance": 0.3}, {"flip_probability": 0.2}
    deltas = [noise | {"delta": delta} for delta in ("residual", "weighted", "gradient")]
    return [
        *(Row("group_evidence", gaussian, options, 2, keeps_layout=False) for options in deltas),
        Row("group_evidence_bernoulli", bernoulli, flips, 2, keeps_layout=False),
        Row("group_features", gaussian, noise | {"delta": "gradient"}, keeps_layout=False),
        Row("group_features_bernoulli", bernoulli, flips, keeps_layout=False),
        Row("group_mixture_nll", mixture, outputs=2, keeps_layout=False),
        Row("group_mixture_nll_bernoulli", bernoulli_mixture, outputs=2, keeps_layout=False),
    ]


ROWS = _rows() + _grouping_rows()
# The operators with recurrent states once more, where these are float32 beside bfloat16 activations.
MIXED_ROWS = [
    _gates("none", 1, affine=False, wide_states=True),
    _gates("batch", 2, wide_states=True),
    _gates("layer", 3, wide_states=True),
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
        floor: what it may err in any case; no less than NARROW_FLOOR for results of those dtypes.
    """
    got = evaluate(row, inputs, unused=unused)
    same_dtype = evaluate(row, inputs, where=reference, unused=unused)
    with fastladder.use_backend("reference"):
        truth = evaluate(row, [x.double() for x in inputs], where=reference, unused=unused)
    labels = [f"output {i}" for i in range(row.outputs)] + [f"gradient of {name}" for name in row.arguments]
    for label, x, y, z in zip(labels, got, same_dtype, truth, strict=True):
        assert x.shape == z.shape, label
        assert x.dtype == y.dtype, label
        bound = 2 * distance(y, z) + max(floor, NARROW_FLOOR.get(x.dtype, 0.0))
        assert distance(x, z) <= bound, f"{label}: error {distance(x, z):.2e}, reference {distance(y, z):.2e}"
