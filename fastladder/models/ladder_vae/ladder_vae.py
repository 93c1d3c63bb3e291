"""The ladder VAE: a variational autoencoder whose posterior meets the data from below and expectations from above."""

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.models.ladder_vae.bound import LatentLayer, draw, layer_of
from fastladder.models.ladder_vae.gaussians import MLP, Gaussian, GaussianHead, Style
from fastladder.models.ladder_vae.latent_hierarchy import LatentHierarchy, repeated
from fastladder.nn.tag_likelihoods import normal_like


class LadderVAE(LatentHierarchy):
    r"""The probabilistic ladder network, or ladder VAE (Sonderby et al., 2016, Eq. 13 to 21).

    The generative model is that of :class:`HierarchicalVAE`, which describes the arguments and the methods. The
    posterior has a deterministic path up, and goes down layer by layer as the generative model does:

    .. math::
        d_1 = \mathrm{MLP}(x), \quad d_i = \mathrm{MLP}(\mu_{d, i-1}), \qquad
        \mu_{d, i} = \mathrm{Linear}(d_i), \quad \sigma^2_{d, i} = \mathrm{softplus}(\mathrm{Linear}(d_i)) \\
        q(z_L \mid x) = \mathcal N(\mu_{d, L}, \sigma^2_{d, L}), \qquad
        q(z_i \mid z_{i+1}, x) \propto
        \mathcal N(\mu_{d, i}, \sigma^2_{d, i}) \, \mathcal N(\mu_{t, i}, \sigma^2_{t, i})

    where :math:`\mu_{t, i}` and :math:`\sigma^2_{t, i}` are those of an MLP of :math:`z_{i+1}`, a sample of the
    posterior. The product of the two is :func:`fastladder.ops.gaussian_merge`.
    """

    def _add_inference(self, style: Style) -> None:
        self.upward = nn.ModuleList(
            MLP(below, units, style) for below, units in zip(self.latents, self.hidden[1:], strict=False)
        )
        self.heads = nn.ModuleList(
            GaussianHead(units, size, style) for units, size in zip(self.hidden, self.latents, strict=True)
        )
        self.downward = self._downward_mappings(style)

    def _infer(self, x: Tensor, repeats: int, generator: torch.Generator | None) -> list[LatentLayer]:
        from_below: list[Gaussian] = [self.heads[0](self.reader(x))]
        for mlp, head in zip(self.upward, self.heads[1:], strict=False):
            from_below.append(head(mlp(from_below[-1].mean.to(x.dtype))))
        *lower, top = (repeated(gaussian, repeats) for gaussian in from_below)
        layers = [layer_of(draw(top, generator), top)]
        for d, downward, prior in reversed(list(zip(lower, self.downward, self.priors, strict=True))):
            above = layers[-1].z.to(x.dtype)
            t: Gaussian = downward(above)
            p: Gaussian = prior(above)
            noise = normal_like(d.mean, generator)
            z, mean, var, kl = ops.merge_sample_kl(*d, *t, *p, noise)
            layers.append(LatentLayer(z, Gaussian(mean, var), p, kl))
        return layers[::-1]
