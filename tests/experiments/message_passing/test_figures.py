import pytest
import torch
from matplotlib import image
from matplotlib.figure import Figure

from fastladder.experiments.message_passing import figures as message_passing
from fastladder.inference import Gains, GaussianChain, static_sweep


@pytest.mark.parametrize("run", [message_passing.static_convergence, message_passing.temporal_convergence])
def test_the_corrected_coefficients_arrive_and_the_printed_ones_miss(run):
    result = run()
    assert result.corrected[-1] < 1e-14
    assert result.corrected[1] > 0.01 * result.scale  # not at once
    assert result.printed[-1] > 0.1 * result.scale
    assert result.printed[-1] == pytest.approx(result.printed[-10], rel=1e-6)  # settled, elsewhere


def test_printed_equation_17_is_right_where_the_two_weights_are_equal():
    generator = torch.Generator().manual_seed(0)
    observation, means = torch.randn(5, generator=generator), torch.randn(5, 3, generator=generator)
    chain = GaussianChain((1.0, 0.8, 0.8), (0.5, 1.0, 1.0, 2.0), top_mean=0.5)
    found = message_passing.static_sweep_as_printed(chain, observation, means)
    torch.testing.assert_close(found, static_sweep(chain, observation, means))


def test_printed_gains_are_right_where_s_is_one_half():
    chain = GaussianChain((1.0, 1.0), (0.7, 0.7, 0.7), (0.5, 0.9))
    assert message_passing.gains_as_printed(chain) == Gains.of(chain) == ((0.5, 0.5), (0.5,))


def test_figure(tmp_path, monkeypatch):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **o: (figures.append(figure), save(figure, *a, **o)))
    message_passing.plot_message_passing(tmp_path / "figure.png")
    assert (image.imread(tmp_path / "figure.png")[..., :3].min(-1) < 0.99).sum() > 5000
    left, right = figures[0].axes
    assert "appendix B" in left.get_title()
    assert "appendix C" in right.get_title()
    for axis, equations in ((left, "(17)"), (right, "(28) and (30)")):
        assert axis.get_yscale() == "log"
        labels = [text.get_text() for text in axis.get_legend().get_texts()]
        assert "corrected" in labels
        assert any(label.startswith(f"{equations} as printed") for label in labels)
