"""Fig. 6 and 7 of the paper of the ladder VAE, and images: what the latent variables of trained networks hold."""

from pathlib import Path
from typing import NamedTuple

import torch
from jsonargparse import Namespace
from sklearn.decomposition import PCA
from torch import Tensor

from fastladder import ops
from fastladder.experiments.configuration import add_data_arguments, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.latent_images.data import LatentImagesData
from fastladder.experiments.latent_images.figures import Components, plot_components, plot_images, plot_layers
from fastladder.experiments.latent_images.records import Runs, add_runs, figure_parser, read_runs, store
from fastladder.experiments.latent_images.task import LatentImagesTask, collect_statistics
from fastladder.experiments.saved import SavedRun
from fastladder.models import LatentLayer
from fastladder.models.ladder_vae.latent_hierarchy import LatentHierarchy

SEED = 0  # of what is drawn for a figure
POINTS = 2000  # test images of which Fig. 7 shows a sample, at most
SQUARE = 5  # images of a layer in Fig. 6 stand in so many rows and columns
LARGE_SQUARE = 7  # those of `ladder-vae-images`


class Trained(NamedTuple):
    """A network as it is evaluated, and the test images."""

    network: LatentHierarchy
    images: Tensor  # (M, H, W)
    labels: Tensor  # (M,)


def trained(run: SavedRun[LatentImagesTask, LatentImagesData], options: Namespace) -> Trained:
    """The network of a run, with the statistics of batch normalisation that it has in a test.

    Raises:
        DataError, RunError: as of `SavedRun.build`.
    """
    task, data = run.build(data_dir=options.data_dir, download=options.download)
    data.setup("test")
    collect_statistics(task.network, data.learned_images())
    return Trained(task.network, data.test.images, data.test.labels)


def generator() -> torch.Generator:
    """A generator that begins anew for every network."""
    return torch.Generator().manual_seed(SEED)


@torch.no_grad()
def divergence_from_normal(layer: LatentLayer) -> float:
    """KL(q || N(0, I)) of a layer in nats, the mean over its samples."""
    mean, var = layer.q
    return ops.gaussian_kl(mean, var, torch.zeros_like(mean), torch.ones_like(var)).mean().item()


def some_of(images: Tensor, count: int) -> Tensor:
    """The indices of so many images, or of all, from the first to the last: they may be sorted by class."""
    return torch.linspace(0, len(images) - 1, min(count, len(images))).round().long()


def components(run: Trained) -> Components:
    """Samples of q of some test images, by their principal components."""
    chosen = some_of(run.images, POINTS)
    with torch.no_grad():
        layers = run.network.encode(run.images[chosen], generator=generator())
    places, explained = [], []
    for layer in layers:
        pca = PCA(min(2, layer.z.shape[1]))
        places.append(torch.from_numpy(pca.fit_transform(layer.z.numpy())).T)
        explained.append(float(pca.explained_variance_ratio_.sum()))
    return Components(places, explained, run.labels[chosen])


def layers_asked(asked: list[int] | None, there: int) -> list[int]:
    """The layers that --layers names, all without it.

    Raises:
        RunError: one does not exist.
    """
    for layer in asked or []:
        if not 1 <= layer <= there:
            raise RunError(f"layers: got {layer}, needs 1 to {there}")
    return sorted(set(asked or range(1, there + 1)))


def inked(images: Tensor, network: LatentHierarchy) -> Tensor:
    """Images whose ink is 1: those of grey values, such as photographs, are bright where they are 1."""
    return images if network.likelihood == "bernoulli" else 1 - images


def configurations(runs: Runs) -> dict[str, dict[str, object]]:
    """Of every run, by its label."""
    return {label: run.configuration for label, run in runs.items()}


def figure6_command(arguments: list[str]) -> int:
    """Draws how far q of each layer is from N(0, I), and images of samples of N(0, I) that are put in at each layer."""
    parser = figure_parser("ladder-vae-figure6", figure6_command.__doc__)
    add_runs(parser)
    help_text = "of the last run, at which samples are put in, such as [1,5], where 1 is the lowest; else all"
    parser.add_argument("--layers", type=list[int] | None, help=help_text)
    add_data_arguments(parser)
    options = parse(parser, arguments)
    runs, output = read_runs(options.run), Path(options.output)
    label, last = list(runs.items())[-1]
    layers = layers_asked(options.layers, len(last.task().network.latents))
    divergences = {}
    for name, run in runs.items():
        network, images, _ = trained(run, options)
        with torch.no_grad():
            divergences[name] = [divergence_from_normal(z) for z in network.encode(images, generator=generator())]
    samples = {layer: network.sample(SQUARE**2, layer=layer, generator=generator()) for layer in layers}
    injected = {layer: inked(images, network) for layer, images in samples.items()}
    plot_layers(output, divergences, injected, label)
    return store(output, {"divergence_from_normal": divergences, "configurations": configurations(runs)}, SEED)


def figure7_command(arguments: list[str]) -> int:
    """Draws samples of q of each layer of several runs by their two principal components, coloured by class."""
    parser = figure_parser("ladder-vae-figure7", figure7_command.__doc__)
    add_runs(parser)
    add_data_arguments(parser)
    options = parse(parser, arguments)
    runs, output = read_runs(options.run), Path(options.output)
    found = {label: components(trained(run, options)) for label, run in runs.items()}
    plot_components(output, found)
    explained = {label: each.explained for label, each in found.items()}
    return store(output, {"explained_variance": explained, "configurations": configurations(runs)}, SEED)


def images_command(arguments: list[str]) -> int:
    """Draws test images, what a network takes them for, and new ones from it."""
    parser = figure_parser("ladder-vae-images", images_command.__doc__)
    parser.add_argument("--run", type=str, required=True, help="run, or checkpoint")
    add_data_arguments(parser)
    options = parse(parser, arguments)
    runs, output = read_runs([options.run]), Path(options.output)
    network, images, _ = trained(next(iter(runs.values())), options)
    shown = images[some_of(images, LARGE_SQUARE**2)]
    with torch.no_grad():
        pictures = {
            "test images": shown,
            "reconstructed": network.reconstruct(shown, generator=generator()),
            "samples of the prior": network.sample(LARGE_SQUARE**2, generator=generator()),
        }
    plot_images(output, {title: inked(images, network) for title, images in pictures.items()})
    return store(output, {"configurations": configurations(runs)}, SEED)
