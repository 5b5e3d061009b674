"""Keywords of displays: valid ones reach matplotlib, of others an error lists the valid ones."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from skattr.inspection import (
    AttributeScoresDisplay,
    CooccurrenceDisplay,
    ErrorCorrelationDisplay,
    GalleryDisplay,
    ReliabilityDisplay,
    SimilarityDisplay,
    ThresholdCurveDisplay,
)
from skattr.inspection._keywords import artist_keywords
from tests.inspection.conftest import make_table


def draw_scores(n, **kwargs):
    """Draw given scores of n attributes."""
    return AttributeScoresDisplay.from_scores(np.linspace(0.2, 0.9, n), **kwargs)


def draw_reliability(n, **kwargs):
    """Draw calibration curves of n attributes."""
    return ReliabilityDisplay.from_predictions(*make_table(n), **kwargs)


def draw_thresholds(n, **kwargs):
    """Draw threshold curves of n attributes."""
    return ThresholdCurveDisplay.from_predictions(*make_table(n), **kwargs)


def draw_cooccurrence(n, **kwargs):
    """Draw how often n attributes occur together."""
    return CooccurrenceDisplay.from_labels(make_table(n)[0], **kwargs)


def draw_errors(n, **kwargs):
    """Draw the correlated errors of n attributes."""
    y, scores = make_table(n)
    return ErrorCorrelationDisplay.from_predictions(y, scores > 0.5, **kwargs)


def draw_similarity(n, **kwargs):
    """Draw a table of similarities."""
    return SimilarityDisplay.from_similarity(pd.DataFrame(np.eye(n)), **kwargs)


def draw_gallery(n, **kwargs):
    """Draw n images."""
    X = np.zeros((n, 8, 8), dtype=np.uint8)
    return GalleryDisplay.from_predictions(np.ones((n, 2)), np.eye(n, 2), X=X, **kwargs)


CASES = [
    (draw_scores, 3, "bars"),
    (draw_scores, 30, "lines"),
    (draw_scores, 60, "lines"),
    (draw_reliability, 2, "lines"),
    (draw_reliability, 8, "lines"),
    (draw_reliability, 50, "image"),
    (draw_thresholds, 1, "lines"),
    (draw_thresholds, 3, "lines"),
    (draw_thresholds, 50, "image"),
    (draw_cooccurrence, 3, "image"),
    (draw_errors, 3, "image"),
    (draw_similarity, 3, "image"),
    (draw_gallery, 2, "image"),
]
IDS = [f"{draw.__name__}-{n}" for draw, n, _ in CASES]


@pytest.mark.parametrize(("draw", "n", "kind"), CASES, ids=IDS)
def test_unknown_keywords_are_an_error_that_lists_the_valid_ones(draw, n, kind):
    """The message has the display's own parameters and matplotlib's; no figure is left behind."""
    import matplotlib.pyplot as plt

    for name in ("colr", "labelsize", "xdata"):
        with pytest.raises(TypeError, match=f"Display got the unknown keyword '{name}'") as caught:
            draw(n, **{name: 1})
        assert all(f"{word}" in str(caught.value) for word in ("parameters are", "zorder", "ax"))
    assert not plt.get_fignums()
    display = draw(n)
    with pytest.raises(TypeError, match="unknown keyword 'nonsense'"):
        display.plot(nonsense=None)


@pytest.mark.parametrize(("draw", "n", "kind"), CASES, ids=IDS)
def test_valid_keywords_are_drawn(draw, n, kind):
    """Also those that the display sets itself, and abbreviations of them."""
    given = {
        "lines": [{"lw": 3}, {"c": "red", "ms": 7}, {"marker": "s"}, {"drawstyle": "default"},
                  {"clip_on": True}, {"label": "curve"}],
        "bars": [{"fc": "red"}, {"facecolor": "red"}, {"lw": 2, "ec": "k"}, {"height": 0.5}],
        "image": [{"cmap": "gray"}, {"vmin": -1.5}, {"interpolation": "none"}, {"clim": (0, 1)}],
    }[kind]  # fmt: skip
    for kwargs in given:
        display = draw(n, **kwargs)
        display.figure_.canvas.draw()
    if kind == "image":
        from matplotlib.colors import Normalize

        # matplotlib rejects limits, such as the display's own, beside a norm
        image = np.ravel(draw(n, norm=Normalize(0, 7)).ax_)[0].images[0]
        assert image.norm.vmax == 7


def test_a_misspelled_parameter_gets_a_hint():
    """Of the display or of matplotlib."""
    for given, meant in (("confidense", "confidence"), ("colour", "color"), ("lenewidth", "lin")):
        with pytest.raises(TypeError, match=f"Did you mean '{meant}"):
            AttributeScoresDisplay.from_predictions(
                [[1, 0], [0, 1]], [[1, 0], [1, 1]], **{given: 1}
            )


def test_bars_have_the_color_that_is_given():
    """Under each of its names."""
    for name in ("color", "facecolor", "fc"):
        bar = draw_scores(3, **{name: (1.0, 0.0, 0.0, 1.0)}).ax_.patches[0]
        assert bar.get_facecolor() == (1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("kind", ["lines", "bars", "image"])
def test_every_listed_keyword_is_one_of_matplotlib(kind):
    """There is a setter for it, or a parameter of ``imshow``."""
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    artist = {"lines": Line2D, "bars": Rectangle, "image": AxesImage}[kind]
    extra = inspect.signature(Axes.imshow).parameters if kind == "image" else ()
    names = artist_keywords(kind)
    assert len(names) > 20
    assert all(hasattr(artist, f"set_{name}") or name in extra for name in names)


def test_unknown_parameters_of_the_metric_are_named():
    """A nested dict is checked as well."""
    with pytest.raises(TypeError, match=r"`metric_params` has the unknown name 'betta'; .* beta"):
        AttributeScoresDisplay.from_predictions(
            [[1, 0], [0, 1]], [[1, 0], [1, 1]], metric="fbeta", metric_params={"betta": 2}
        )


@pytest.mark.parametrize("draw", [draw_scores, draw_reliability], ids=["one", "panels"])
@pytest.mark.parametrize("n", [2, 30])
def test_ax_must_be_one_axes(draw, n):
    """An array of axes, as `subplots` returns it, is an error that says so."""
    figure, axes = plt.subplots(1, 2)
    for ax in (axes, list(axes)):
        with pytest.raises(TypeError, match=r"`ax` must be one .* pass one .*, such as ax\[0\]"):
            draw(n, ax=ax)
    with pytest.raises(TypeError, match="`ax` must be one matplotlib Axes or None, got .* Figure"):
        draw(n, ax=figure)
    plt.close(figure)
