"""The variational autoencoder with several layers of latent variables, which the ladder VAE is compared with."""

import torch
from torch import Tensor, nn

from fastladder.models.ladder_vae.bound import LatentLayer, draw, layer_of
from fastladder.models.ladder_vae.gaussians import GaussianHead, GaussianMLP, Style
from fastladder.models.ladder_vae.latent_hierarchy import LatentHierarchy, repeated


class HierarchicalVAE(LatentHierarchy):
    r"""A variational autoencoder with L layers of latent variables (Sonderby et al., 2016, Eq. 1 to 12).

    .. math::
        p(x, z) = p(x \mid z_1) \, \prod_{i=1}^{L-1} p(z_i \mid z_{i+1}) \; \mathcal N(z_L; 0, I), \qquad
        q(z \mid x) = q(z_1 \mid x) \prod_{i=2}^{L} q(z_i \mid z_{i-1})

    where every factor is a diagonal Gaussian whose mean and variance an MLP of two layers computes; see
    :class:`fastladder.models.ladder_vae.gaussians.GaussianHead`. The posterior knows the data only from below; in a
    :class:`LadderVAE` it also knows what the layer above expects.

    Args:
        input_shape: of an image or a vector, without the batch.
        latents: units of z_1 to z_L.
        hidden: units of the MLPs on both sides of each layer: the first between x and z_1, the second between z_1 and
            z_2, and so on.
        channels: of convolutions of 4 x 4 between an image (C, H, W) and the first MLP, each of which halves height and
            width, and of their transposes on the way back; none as in the paper.
        norm: of every layer but the output, "batch" or "none". Evaluate in evaluation mode, after the running
            statistics have been collected anew, as by `torch.optim.swa_utils.update_bn`, from all data in one batch:
            those of small batches do not bound what unusual data becomes, layer after layer.
        likelihood: p(x | z_1), "bernoulli", or "gaussian" with a variance for every pixel.
        nonlinearity: of the MLPs, "leaky_relu" with a slope of 0.1, "tanh" or "relu".
        variance_floor: added to every variance, in the same place for densities, samples and merged Gaussians.

    Raises:
        ValueError, TypeError: an argument is out of range; the message names it.
    """

    def _add_inference(self, style: Style) -> None:
        self.lowest_head = GaussianHead(self.hidden[0], self.latents[0], style)
        self.posteriors = nn.ModuleList(
            GaussianMLP(below, units, here, style)
            for below, here, units in zip(self.latents, self.latents[1:], self.hidden[1:], strict=False)
        )

    def _infer(self, x: Tensor, repeats: int, generator: torch.Generator | None) -> list[LatentLayer]:
        qs = [repeated(self.lowest_head(self.reader(x)), repeats)]
        zs = [draw(qs[0], generator)]
        for posterior in self.posteriors:
            qs.append(posterior(zs[-1].to(x.dtype)))
            zs.append(draw(qs[-1], generator))
        ps = [prior(above.to(x.dtype)) for prior, above in zip(self.priors, zs[1:], strict=True)]
        return [layer_of(*each) for each in zip(zs, qs, [*ps, None], strict=True)]
