"""What the ladder VAE and the hierarchical VAE share: a generative model, and the bound that they are trained on."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.models.ladder_vae.bound import Bound, LatentLayer, compute_bound, draw, sum_of_log_ratios
from fastladder.models.ladder_vae.gaussians import Gaussian, GaussianMLP, Style
from fastladder.models.ladder_vae.images import ImageReader, ImageWriter
from fastladder.models.ladder_vae.observations import OBSERVATIONS
from fastladder.nn.checks import check_shape, check_size
from fastladder.nn.reset import reset_children
from fastladder.nn.tag_likelihoods import normal_like
from fastladder.ops.checks import check_option


class LatentHierarchy(nn.Module):
    """A generative model with several layers of latent variables. `HierarchicalVAE` describes the arguments."""

    def __init__(
        self,
        input_shape: int | Sequence[int],
        latents: Sequence[int] = (64, 32, 16, 8, 4),
        hidden: Sequence[int] = (512, 256, 128, 64, 32),
        *,
        channels: Sequence[int] = (),
        norm: str = "batch",
        likelihood: str = "bernoulli",
        nonlinearity: str = "leaky_relu",
        variance_floor: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = check_shape("input_shape", input_shape)
        self.latents, self.hidden = check_shape("latents", latents), check_shape("hidden", hidden)
        channels = tuple(check_size("channels", size) for size in channels)
        if not self.latents or len(self.hidden) != len(self.latents):
            raise ValueError(f"hidden: got {self.hidden} for latents {self.latents}, needs one size for each layer")
        check_option("likelihood", likelihood, tuple(OBSERVATIONS))
        self.likelihood = likelihood
        style = Style(norm, nonlinearity, variance_floor, {"device": device, "dtype": dtype})
        self.observation = OBSERVATIONS[likelihood](variance_floor)
        self.reader = ImageReader(self.input_shape, channels, self.hidden[0], style)
        self.writer = ImageWriter(
            self.latents[0], self.hidden[0], channels, self.input_shape, self.observation.parts, style
        )
        self.priors = self._downward_mappings(style)
        self._add_inference(style)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        reset_children(self)

    def forward(
        self,
        x: Tensor,
        samples: int = 1,
        importance: int = 1,
        beta: float = 1.0,
        free_bits: float = 0.0,
        *,
        generator: torch.Generator | None = None,
    ) -> Bound:
        r"""The bound on the negative log-likelihood, the mean over the data.

        .. math::
            -\mathcal L = \mathbb E_q \left[ -\log p(x \mid z_1) \right] + \beta \sum_{i=1}^L
            \max \left( \mathrm{KL}_i, \mathrm{free\_bits} \right)

        (Eq. 22), with the divergence of each layer in closed form given the sample of its neighbours, and its mean over
        data and samples inside the maximum (Kingma et al., 2016). With K importance samples it is instead (Eq. 12,
        where 1 / K is missing)

        .. math::
            -\log \frac 1 K \sum_{k=1}^K p(x \mid z^{(k)}) \left( \frac{p(z^{(k)})}{q(z^{(k)} \mid x)} \right)^\beta

        Args:
            x: (N, *input_shape).
            samples: S, over which the expectation is a mean.
            importance: K.
            beta: the weight of the divergence, which warm-up raises from 0 to 1.
            free_bits: nats that each layer may cost for nothing; only where `importance` is 1.
            generator: that draws, on the device of x.

        Returns:
            `Bound`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device, or is out of range; the message
                names it.
        """
        self._check(x)
        samples, importance = check_size("samples", samples), check_size("importance", importance)
        if not 0 <= beta < float("inf") or not 0 <= free_bits < float("inf"):
            raise ValueError(f"beta, free_bits: got {beta}, {free_bits}, needs numbers from 0")
        if free_bits and importance > 1:
            raise ValueError(f"free_bits: got {free_bits} with {importance} importance samples, which have none")
        layers = self._infer(x, samples * importance, generator)
        likelihood = self._log_likelihood_given(x, layers[0].z)
        return compute_bound(likelihood, layers, samples, importance, beta, free_bits)

    @torch.no_grad()
    def log_likelihood(
        self, x: Tensor, samples: int, chunk: int = 10, *, generator: torch.Generator | None = None
    ) -> Tensor:
        r"""An estimate of the log-likelihood of each datum by importance sampling, without gradients.

        .. math::
            \log \frac 1 K \sum_{k=1}^K \frac{p(x, z^{(k)})}{q(z^{(k)} \mid x)}, \qquad z^{(k)} \sim q(z \mid x)

        In expectation it is a lower bound, which comes closer with more samples (Burda et al., 2016).

        Args:
            x: (N, *input_shape).
            samples: K.
            chunk: how many of them are in memory at the same time.
            generator: that draws, on the device of x.

        Returns:
            (N,), nats, float32 (float64 for float64).

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device, or is out of range; the message
                names it.
        """
        self._check(x)
        samples, chunk = check_size("samples", samples), check_size("chunk", chunk)
        total: Tensor | None = None
        for first in range(0, samples, chunk):
            count = min(chunk, samples - first)
            layers = self._infer(x, count, generator)
            log_weights = self._log_likelihood_given(x, layers[0].z) + sum_of_log_ratios(layers)
            part = log_weights.view(count, -1).logsumexp(0)
            total = part if total is None else torch.logaddexp(total, part)
        assert total is not None
        return total - math.log(samples)

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[LatentLayer, ...]:
        """The latent variables of data: samples, posteriors, priors and divergences, for each layer, lowest first.

        Args:
            x: (N, *input_shape).
            generator: that draws, on the device of x.

        Raises:
            ValueError, TypeError: x has a wrong shape, dtype or device.
        """
        self._check(x)
        return tuple(self._infer(x, 1, generator))

    def reconstruct(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """What is expected in place of the data given their latent variables, (N, *input_shape).

        Args:
            x: (N, *input_shape).
            generator: that draws the latent variables, on the device of x.

        Raises:
            ValueError, TypeError: x has a wrong shape, dtype or device.
        """
        return self._mean_given(self.encode(x, generator=generator)[0].z)

    @torch.no_grad()
    def sample(self, n: int, *, layer: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Draws latent variables from the prior, and returns what they make expected, (n, *input_shape).

        Args:
            n: how many.
            layer: from which the prior is followed down, 1 for the lowest; there z is drawn from N(0, I), which only at
                the top is its prior (Fig. 6b). Missing means the top.
            generator: that draws, on the device of the weights.

        Raises:
            ValueError: an argument is out of range; the message names it.
        """
        top = len(self.latents)
        layer = top if layer is None else check_size("layer", layer)
        if layer > top:
            raise ValueError(f"layer: got {layer}, needs 1 to {top}")
        weight = next(self.writer.parameters())
        z = normal_like(weight.new_empty(check_size("n", n), self.latents[layer - 1]), generator)
        for prior in reversed(self.priors[: layer - 1]):
            z = draw(prior(z), generator).to(weight.dtype)
        return self._mean_given(z)

    def _add_inference(self, style: Style) -> None:
        """Adds the modules of the posterior."""
        raise NotImplementedError

    def _downward_mappings(self, style: Style) -> nn.ModuleList:
        """For each layer but the top one the mapping from the layer above to a Gaussian of it, lowest first."""
        return nn.ModuleList(
            GaussianMLP(above, units, here, style)
            for here, above, units in zip(self.latents, self.latents[1:], self.hidden[1:], strict=False)
        )

    def _infer(self, x: Tensor, repeats: int, generator: torch.Generator | None) -> list[LatentLayer]:
        """The latent variables of `repeats` samples of each datum, (repeats * N, D) a layer, lowest first."""
        raise NotImplementedError

    def _check(self, x: Any) -> None:
        if not isinstance(x, Tensor):
            raise TypeError(f"x: got {type(x).__name__}, needs a tensor")
        if x.shape[1:] != self.input_shape or x.dim() == 0:
            needed = ", ".join(map(str, ("N", *self.input_shape)))
            raise ValueError(f"x: got shape {tuple(x.shape)}, needs ({needed})")
        weight = next(self.parameters())
        if x.device != weight.device or x.dtype != weight.dtype:
            raise ValueError(f"x: got {x.dtype} on {x.device}, needs {weight.dtype} on {weight.device} as the weights")

    def _log_likelihood_given(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z_1) of (N, *input_shape) and (repeats * N, latents[0]), (repeats * N,), in nats."""
        repeated = repeat_batch(x, len(z) // max(len(x), 1))
        likelihood: Tensor = self.observation.log_likelihood(repeated, self.writer(z))
        return likelihood

    def _mean_given(self, z: Tensor) -> Tensor:
        mean: Tensor = self.observation.mean(self.writer(z))
        return mean

    def extra_repr(self) -> str:
        return f"{self.input_shape}, {self.latents}, {self.hidden}, likelihood={self.likelihood!r}"


def repeat_batch(tensor: Tensor, repeats: int) -> Tensor:
    """(N, *) as (repeats * N, *): the batch, and the batch again."""
    return tensor.expand(repeats, *tensor.shape).flatten(0, 1)


def repeated(gaussian: Gaussian, repeats: int) -> Gaussian:
    """A Gaussian (N, D) as (repeats * N, D)."""
    return Gaussian(*(repeat_batch(moment, repeats) for moment in gaussian))
