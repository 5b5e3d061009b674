"""Compare a grid search on frozen features with one pass of the network and the bare fits.

    python benchmarks/bench_search.py             # --case arrays, --case files, --runs, --quick

The question is what `GridSearchCV` over an `ImageEmbedder` with a cache and an
`AttributeClassifier` costs beyond the necessary work. 20 candidates (loss x hidden units x weight
of positives x learning rate) x 5 folds, ResNet-18 at 224, 2,000 images in memory and in JPEG
files, without refit. The bound is one bare pass of the backbone over the images (torchvision's
module, channels_last, `inference_mode`, files decoded with Pillow), and the same fits and scores
of heads on the computed features in a plain loop over candidates and folds. Grid and bound
alternate, each grid with an empty cache. Also measured are a second grid, which finds all
features in the cache, and a grid that passes the backbone in every cell (`cache=None`), of which
some cells are measured and extrapolated.
"""

import cProfile
import io
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision
from measure import Limits, interleaved, parser, write
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, ParameterGrid
from sklearn.pipeline import Pipeline

from skattr import AttributeClassifier, ImageEmbedder
from skattr.datasets import make_attribute_images
from skattr.nn._backbones.build import PixelNormalization

CANDIDATES = {
    "heads__loss": ["bce", "focal"],
    "heads__branches__hidden": [None, 32],
    "heads__pos_weight": [None, "balanced"],
    "heads__lr": [1e-3, 3e-3, 1e-2],
}
N_CANDIDATES = 20  # of the 24
MACS = 1.81e9  # multiplications and additions of ResNet-18 at 224
TARGET = 1.25


def make_images(n, size, folder):
    """Return images in memory, the same as JPEG files, and a table of binary attributes."""
    shown, table = make_attribute_images(n, image_size=size, return_X_y=True, random_state=0)
    paths = [str(Path(folder) / f"{row:05d}.jpg") for row in range(n)]
    for image, path in zip(shown, paths, strict=True):
        Image.fromarray(image).save(path, quality=90)
    y = pd.DataFrame(
        {
            f"{name}={level}": table[name] == level
            for name in table
            for level in table[name].unique()
        }
    )
    return {"arrays": shown, "files": np.array(paths, dtype=object)}, y.astype(bool)


def candidates():
    """Return the candidates in the form of GridSearchCV, each as a separate grid."""
    grid = list(ParameterGrid(CANDIDATES))[:N_CANDIDATES]
    return [{name: [value] for name, value in one.items()} for one in grid]


def bare_features(images, network, normalization):
    """Pass all images through a frozen network, in batches of 64."""
    results = []
    with torch.inference_mode():
        for start in range(0, len(images), 64):
            batch = images[start : start + 64]
            if batch.dtype == object:
                batch = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in batch])
            results.append(network(normalization(torch.from_numpy(batch))))
    return torch.cat(results).numpy()


def bare_network():
    """Return torchvision's ResNet-18 without its classifier."""
    network = torchvision.models.resnet18()
    network.fc = torch.nn.Identity()
    return network.eval().to(memory_format=torch.channels_last), PixelNormalization()


def fit_heads(features, y, heads, folds, n_candidates):
    """Fit and score every candidate on every fold, without scikit-learn's search."""
    scores = np.empty((n_candidates, folds.get_n_splits()))
    grid = candidates()[:n_candidates]
    for i, one in enumerate(grid):
        params = {name.removeprefix("heads__"): values[0] for name, values in one.items()}
        for j, (train, test) in enumerate(folds.split(features)):
            head = clone(heads).set_params(**params).fit(features[train], y.iloc[train])
            scores[i, j] = head.score(features[test], y.iloc[test])
    return scores


def search(images, y, heads, folds, n_candidates, size, cache):
    """Run the complete grid."""
    embedder = ImageEmbedder("resnet18", image_size=size, cache=cache)
    pipeline = Pipeline([("embed", embedder), ("heads", heads)])
    grid = GridSearchCV(
        pipeline, candidates()[:n_candidates], cv=folds, refit=False, error_score="raise"
    )
    return grid.fit(images, y)


def uncached_cells(images, y, heads, folds, n_cells, size):
    """Return the seconds of some cells of the grid without a cache, fit and score each."""
    embedder = ImageEmbedder("resnet18", image_size=size)
    pipeline = Pipeline([("embed", embedder), ("heads", heads)])
    seconds = []
    for one, (train, test) in zip(candidates(), list(folds.split(images))[:n_cells], strict=False):
        start = time.perf_counter()
        cell = clone(pipeline).set_params(**{name: values[0] for name, values in one.items()})
        cell.fit(images[train], y.iloc[train]).score(images[test], y.iloc[test])
        seconds.append(time.perf_counter() - start)
    return seconds


def compare(case, images, y, options):
    """Measure one kind of images, and return a row of figures."""
    heads = AttributeClassifier(max_epochs=options.epochs, random_state=0)
    folds = KFold(options.folds, shuffle=True, random_state=0)
    size, n = options.size, options.candidates
    network, normalization = bare_network()
    found = {}

    def run_grid():
        with tempfile.TemporaryDirectory() as cache:
            found["grid"] = search(images, y, heads, folds, n, size, cache)

    def run_heads():
        found["scores"] = fit_heads(features, y, heads, folds, n)

    with tempfile.TemporaryDirectory() as cache:
        features = ImageEmbedder("resnet18", image_size=size, cache=cache).fit_transform(images)
        ways = {
            "pass": lambda: bare_features(images, network, normalization),
            "heads": run_heads,
            "grid": run_grid,
        }
        taken = interleaved(ways, options.runs, warmups=0)
        check(found["grid"], found["scores"])
        profile = cProfile.Profile() if options.profile else None
        call = profile.runcall if profile else lambda function, *args: function(*args)
        start = time.perf_counter()
        call(search, images, y, heads, folds, n, size, cache)
        again = time.perf_counter() - start
    if profile:
        print_profile(profile)
    cells = uncached_cells(images, y, heads, folds, options.cells, size)
    bound = taken["pass"] + taken["heads"]
    uncached = float(np.median(cells)) * n * options.folds
    return {
        "case": case,
        "pass s": taken["pass"],
        "heads s": taken["heads"],
        "bound s": bound,
        "grid s": taken["grid"],
        "ratio": taken["grid"] / bound,
        "target": TARGET,
        "again s": again,
        "again/heads": again / taken["heads"],
        "uncached s": uncached,
        "uncached/grid": uncached / taken["grid"],
    }


def check(grid, scores):
    """Compare the scores of the grid with those of the loop; features differ by rounding."""
    found = [grid.cv_results_[f"split{j}_test_score"] for j in range(scores.shape[1])]
    np.testing.assert_allclose(np.stack(found, axis=1), scores, atol=0.02)


def print_profile(profile, n_lines=25):
    """Print a profile of a grid."""
    stream = io.StringIO()
    pstats.Stats(profile, stream=stream).strip_dirs().sort_stats("tottime").print_stats(n_lines)
    print(stream.getvalue())


def main():
    """Run both cases and write the figures."""
    options = parser(__doc__)
    options.add_argument("--case", choices=["arrays", "files"], help="only one of the two")
    options.add_argument("--rows", type=int, default=2000, help="images")
    options.add_argument("--size", type=int, default=224, help="of the images, in pixels")
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--candidates", type=int, default=N_CANDIDATES)
    options.add_argument("--epochs", type=int, default=12, help="of the fit of a head")
    options.add_argument("--cells", type=int, default=2, help="without cache that are measured")
    options.add_argument("--profile", action="store_true", help="of the grid with a full cache")
    options.add_argument("--quick", action="store_true", help="see whether it runs")
    options.set_defaults(runs=3)
    options = options.parse_args()
    if options.quick:
        options.rows, options.size, options.runs, options.epochs = 60, 64, 1, 2
        options.folds, options.candidates, options.cells = 2, 3, 1
    limits = Limits()
    with tempfile.TemporaryDirectory() as folder:
        kinds, y = make_images(options.rows, options.size, folder)
        n_bytes = options.rows * options.size**2 * 3
        operations = 2 * MACS * (options.size / 224) ** 2 * options.rows
        least = limits.seconds(operations, n_bytes)
        cases = [options.case] if options.case else list(kinds)
        rows = [compare(case, kinds[case], y, options) for case in cases]
    n_cells = options.candidates * options.folds
    print(
        f"{options.rows:,} images of {options.size}, {n_cells} cells; without cache "
        f"{options.cells} cell(s) measured and multiplied"
    )
    write(
        "search_quick" if options.quick else "search",
        rows,
        options=vars(options),
        limit_seconds=least,
    )
    print(
        f"limit of the pass: {operations / 1e12:.2f} Tflop, {n_bytes / 1e9:.2f} GB at {limits}: "
        f"{least:.1f} s; the bare pass takes {rows[0]['pass s'] / least:.1f} times that, the grid "
        f"{rows[0]['grid s'] / least:.1f} times"
    )


if __name__ == "__main__":
    main()
