"""Compare the cumulative link of an ordinal attribute with plain categories.

    python benchmarks/bench_ordinal.py

The network and the recipe are the same, and the attributes are declared ("ordinal", levels) or
"categorical". (a) 2-D features: ten attributes of six levels, made from linear scores with
logistic noise, trained on 200, 1,000 and 5,000 rows. (b) As (a), but the noise grows with the
score, which no cumulative link of one score fits. (c) Size and count of `make_attribute_images`,
small network. The script prints means over seeds on new rows: the mean absolute error in levels
(of the most probable level and of the median), the accuracy of the most probable level, and log
loss. "truth" is the true probability.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from bench_category_prior import small
from scipy.special import expit

from skattr import AttributeClassifier
from skattr.datasets import make_attribute_images
from skattr.metrics import accuracy_score, log_loss, mean_absolute_error

N_FEATURES, N_ATTRIBUTES, N_LEVELS = 10, 10, 6


class Graded:
    """Attributes whose levels are intervals of noisy linear scores."""

    def __init__(self, rng, uneven):
        self.rng, self.uneven = rng, uneven
        self.directions = 2.5 * rng.normal(size=(N_FEATURES, N_ATTRIBUTES)) / N_FEATURES**0.5
        self.cuts = np.sort(rng.normal(scale=2.5, size=(N_ATTRIBUTES, N_LEVELS - 1)), axis=1)

    def draw(self, n):
        """Return features, a table of levels and the true probabilities of `n` rows."""
        X = self.rng.normal(size=(n, N_FEATURES)).astype(np.float32)
        score = (X @ self.directions)[..., np.newaxis]
        scale = np.exp(0.3 * score) if self.uneven else 1.0
        above = expit((score - self.cuts) / scale)
        noise = self.rng.random((n, N_ATTRIBUTES, 1))
        levels = (noise < above).sum(axis=-1)
        ends = np.ones((n, N_ATTRIBUTES, 1)), np.zeros((n, N_ATTRIBUTES, 1))
        proba = -np.diff(np.concatenate([ends[0], above, ends[1]], axis=-1), axis=-1)
        names = [f"a{j}" for j in range(N_ATTRIBUTES)]
        return X, pd.DataFrame(levels, columns=names), list(proba.swapaxes(0, 1))


def at(levels, chosen):
    """Return the table of levels for their positions in each attribute."""
    return pd.DataFrame(
        {name: np.array(levels[name])[place] for name, place in zip(levels, chosen, strict=True)}
    )


def scores(y, proba, levels):
    """Return the scores of probabilities, a list of (n, n_levels)."""
    kinds = {name: ("ordinal", order) for name, order in levels.items()}
    mode = at(levels, [p.argmax(axis=1) for p in proba])
    median = at(
        levels, [(p.cumsum(axis=1) < 0.5).sum(axis=1).clip(max=p.shape[1] - 1) for p in proba]
    )
    return {
        "MAE, mode": mean_absolute_error(y, mode, attributes=kinds),
        "MAE, median": mean_absolute_error(y, median, attributes=kinds),
        "accuracy": accuracy_score(y, mode, attributes=kinds),
        "log loss": log_loss(y, proba, attributes=kinds),
    }


def fitted(classifier, data, levels, kind):
    """Fit with the attributes declared as `kind`, and return the scores on the test rows."""
    X, y, X_test, y_test = data
    declared = {name: (kind, order) for name, order in levels.items()}
    classifier.set_params(attributes=declared)
    start = time.perf_counter()
    classifier.fit(X, y)
    seconds = time.perf_counter() - start
    in_order = [
        proba[:, [classes.tolist().index(level) for level in order]]
        for proba, classes, order in zip(
            classifier.predict_proba(X_test), classifier.classes_, levels.values(), strict=True
        )
    ]
    result = {**scores(y_test, in_order, levels), "seconds": seconds}
    if kind == "ordinal":
        _check_predict(classifier, X_test, y_test, declared, result)
    return result


def _check_predict(classifier, X, y, kinds, result):
    """Check that `predict` returns the scored labels."""
    predicted = pd.DataFrame(classifier.predict(X), columns=list(y))
    error = mean_absolute_error(y, predicted.astype(y.dtypes), attributes=kinds)
    np.testing.assert_allclose(error, result["MAE, mode"], atol=1e-3)


def on_features(n, uneven, options, seed):
    """Return {kind: scores} for linear networks on 2-D features."""
    graded = Graded(np.random.default_rng(seed), uneven)
    X, y, _ = graded.draw(n)
    X_test, y_test, truth = graded.draw(options.test_rows)
    levels = {name: list(range(N_LEVELS)) for name in y}
    result = {"truth": scores(y_test, truth, levels)}
    for kind in ("categorical", "ordinal"):
        network = AttributeClassifier(max_epochs=30, random_state=seed)
        result[kind] = fitted(network, (X, y, X_test, y_test), levels, kind)
    return result


def on_images(n, options, seed):
    """Return {kind: scores} for a small network on images."""
    train, test = (
        make_attribute_images(size, random_state=2 * seed + k)
        for k, size in enumerate([n, options.test_images])
    )
    levels = {name: train.attribute_kinds[name][1] for name in ("size", "count")}
    data = train.data, train.target[list(levels)], test.data, test.target[list(levels)]
    network = AttributeClassifier(
        small, image_size=32, augment="flip", lr=3e-3, max_epochs=20, random_state=seed
    )
    return {kind: fitted(network, data, levels, kind) for kind in ("categorical", "ordinal")}


def compare(name, one_seed, seeds):
    """Print and return the means over seeds."""
    runs = [one_seed(seed) for seed in range(seeds)]
    table = pd.DataFrame(
        {way: pd.DataFrame([run[way] for run in runs]).mean() for way in runs[0]}
    ).T
    table = table[[*runs[0]["ordinal"]]]
    gaps = pd.DataFrame(
        [{k: run["ordinal"][k] - run["categorical"][k] for k in run["ordinal"]} for run in runs]
    )
    print(f"\n{name}, {seeds} seeds")
    print(table.to_string(float_format="{:.4f}".format, na_rep=""))
    print("ordinal less categorical, ± standard error:", end=" ")
    print(
        ", ".join(f"{k} {gaps[k].mean():+.4f} ±{gaps[k].sem():.4f}" for k in list(gaps)[:4]),
        flush=True,
    )
    rows = {way: row.dropna().to_dict() for way, row in table.iterrows()}
    return {"name": name, "seeds": seeds, "rows": rows, "gap": gaps.mean().to_dict()}


def main():
    """Run all cases and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test-rows", type=int, default=20_000)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/ordinal.json")
    options = parser.parse_args()
    results = []
    for name, uneven in (("(a) one score", False), ("(b) uneven noise", True)):
        for n in (200, 1000, 5000):
            run = lambda seed, n=n, uneven=uneven: on_features(n, uneven, options, seed)  # noqa: E731
            results.append(compare(f"{name}, n = {n:,}", run, options.seeds))
    n = options.images
    name = f"(c) size and count in images, n = {n:,}"
    results.append(compare(name, lambda seed: on_images(n, options, seed), options.seeds))
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
