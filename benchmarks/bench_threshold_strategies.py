"""Compare threshold strategies on new data, and their reported scores with the true ones.

    python benchmarks/bench_threshold_strategies.py

The scores of a network are simulated, so that the best attainable score is known.

(a) 60 labels with a prevalence of .3 % to 40 %, separated by .8 to 2.5 standard deviations. The
    probabilities of each label are miscalibrated in their own way, as after training with
    weighted positives. Thresholds are found on n = 500, 2,000 and 10,000 rows.
(b) 40 labels of one prevalence with 2.5, 10 or 50 positives each among n = 500 rows. The
    probabilities are calibrated.
(c) As (a), but no calibration curve of the fitted form is right: half of the positives are easy
    and half are hard, or positives vary more than negatives.

The benchmark prints means over seeds: the macro-F1 on 30,000 new rows of each strategy, of the
threshold one half and of thresholds found on the new rows themselves (the oracle), and the
reported `best_score_` and `in_sample_score_`. Last, it prints how often a guaranteed recall,
precision or false positive rate is missed over 1,000 draws.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from skattr.exceptions import ThresholdNotTunedWarning
from skattr.thresholds import ThresholdCalibrator, find_thresholds

STRATEGIES = ("exact", "plugin", "shrunk", "auto")
N_TEST = 30_000


class Labels:
    """Labels whose scores are drawn around two means."""

    def __init__(self, rng, n_labels, prevalence, distance, scale, offset, kind):
        self.rng, self.kind = rng, kind
        self.prevalence, self.distance = prevalence, distance
        self.scale, self.offset = scale, offset
        self.n_labels = n_labels

    def draw(self, n):
        """Return labels and probabilities (n, n_labels)."""
        y = self.rng.random((n, self.n_labels)) < self.prevalence
        noise, shift = self.rng.normal(size=y.shape), self.distance
        if self.kind == "mixed":
            shift = self.distance * np.where(self.rng.random(y.shape) < 0.5, 2.0, 0.3)
        elif self.kind == "uneven":
            noise = noise * np.where(y, 1.8, 1.0)
        d = self.distance
        odds = np.log(self.prevalence / (1 - self.prevalence)) + d * (noise + shift * y) - d**2 / 2
        return y, expit((odds + self.offset) / self.scale)


def heterogeneous(rng, kind="normal"):
    """Return 60 labels, each with its own miscalibration."""
    prevalence = np.exp(rng.uniform(np.log(0.003), np.log(0.4), 60))
    distance, scale = rng.uniform(0.8, 2.5, 60), rng.uniform(0.6, 2, 60)
    offset = rng.normal(0, 1, 60) + np.log((1 - prevalence) / prevalence) * 0.5
    return Labels(rng, 60, prevalence, distance, scale, offset, kind)


def rare(rng, prevalence):
    """Return 40 calibrated labels of one prevalence."""
    ones = np.ones(40)
    return Labels(rng, 40, prevalence * ones, 1.5 * ones, ones, 0 * ones, "normal")


def macro_f1(y, predicted):
    """Return the mean over labels of F1, which is 0 if it is undefined."""
    tp = (y & predicted).sum(axis=0)
    return float(np.mean(2 * tp / np.maximum(y.sum(axis=0) + predicted.sum(axis=0), 1)))


def one_seed(make, n, seed):
    """Return {strategy: (test F1, best_score_, in_sample_score_)} of one draw."""
    labels = make(np.random.default_rng(seed))
    (y, p), (y_test, p_test) = labels.draw(n), labels.draw(N_TEST)
    result = {
        "one half": (macro_f1(y_test, p_test >= 0.5), np.nan, np.nan),
        "oracle": (find_thresholds(y_test, p_test, strategy="exact").value, np.nan, np.nan),
    }
    for strategy in STRATEGIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ThresholdNotTunedWarning)  # labels without a positive
            tuned = ThresholdCalibrator("f1", strategy=strategy).fit(p, y)
        result[strategy] = (
            macro_f1(y_test, tuned.predict(p_test).astype(bool)),
            tuned.best_score_,
            tuned.in_sample_score_,
        )
    return result


def compare_strategies(name, make, n, seeds):
    """Print and return the means over seeds."""
    runs = [one_seed(make, n, seed) for seed in range(seeds)]
    rows = {}
    print(f"\n{name}, n = {n:,}, {seeds} seeds")
    print(f"{'':10s}  test F1  best_score_     bias  in sample     bias")
    for key in runs[0]:
        values = np.array([run[key] for run in runs])
        test, reported, in_sample = values.mean(axis=0)
        error = (values[:, 1] - values[:, 0]).std(ddof=1) / np.sqrt(seeds)
        rows[key] = {
            "test": test,
            "best_score": reported,
            "bias": reported - test,
            "bias_standard_error": error,
            "in_sample": in_sample,
            "in_sample_bias": in_sample - test,
        }
        print(
            f"{key:10s} {test:8.4f} {reported:12.4f} {reported - test:+8.4f} {in_sample:10.4f} "
            f"{in_sample - test:+8.4f}   (standard error of the bias {error:.4f})"
        )
    short = max(rows["exact"]["test"], rows["plugin"]["test"]) - rows["auto"]["test"]
    print(f"auto falls short of the better of exact and plugin by {short:+.4f}")
    return {"name": name, "n": n, "seeds": seeds, "rows": rows, "auto_short_by": short}


def true_rates(threshold, prevalence, distance):
    """Return the true recall, precision and false positive rate at a threshold."""
    recall, false = norm.sf(threshold - distance), norm.sf(threshold)
    share = prevalence * recall + (1 - prevalence) * false
    precision = np.where(share > 0, prevalence * recall / np.maximum(share, 1e-300), 1.0)
    return {"recall": recall, "precision": precision, "false_positive_rate": false}


def guarantee(name, bound, n, prevalence, draws, confidence=0.9, distance=2.0):
    """Print and return how often a guaranteed bound is missed. Each column is one draw."""
    rng = np.random.default_rng(0)
    y = rng.random((n, draws)) < prevalence
    scores = rng.normal(size=y.shape) + distance * y
    objective = "precision" if name == "recall" else "recall"
    found = find_thresholds(y, scores, objective, constraint=(name, bound), confidence=confidence)
    certified = np.array([j not in found.failed for j in range(draws)])
    rates = true_rates(found.thresholds, prevalence, distance)
    missed = rates[name] > bound if name == "false_positive_rate" else rates[name] < bound
    unguaranteed = find_thresholds(y, scores, objective, constraint=(name, bound))
    unguaranteed_rate = true_rates(unguaranteed.thresholds, prevalence, distance)[name]
    unguaranteed_missed = (
        unguaranteed_rate > bound if name == "false_positive_rate" else unguaranteed_rate < bound
    )
    row = {
        "constraint": [name, bound],
        "n": n,
        "prevalence": prevalence,
        "draws": draws,
        "confidence": confidence,
        "certified": float(certified.mean()),
        "missed": float(missed.mean()),
        "missed_without_confidence": float(unguaranteed_missed.mean()),
        "objective": objective,
        "objective_mean": float(np.mean(rates[objective][certified])) if certified.any() else None,
    }
    print(
        f"{name} {bound:g}, n = {n}, prevalence {prevalence:g}: certified {certified.mean():.3f}, "
        f"missed {missed.mean():.3f} (allowed {1 - confidence:.2f}); without confidence "
        f"{unguaranteed_missed.mean():.3f}"
    )
    return row


def main():
    """Run all comparisons and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/threshold_strategies.json"
    )
    options = parser.parse_args()
    results = []
    for n in (500, 2_000, 10_000):
        results.append(compare_strategies("(a) heterogeneous", heterogeneous, n, options.seeds))
    for prevalence in (0.005, 0.02, 0.1):
        name = f"(b) {500 * prevalence:g} positives"
        results.append(
            compare_strategies(name, lambda rng, p=prevalence: rare(rng, p), 500, options.seeds)
        )
    for kind in ("mixed", "uneven"):
        for n in (500, 2_000, 10_000):
            make = lambda rng, kind=kind: heterogeneous(rng, kind)  # noqa: E731
            results.append(compare_strategies(f"(c) {kind}", make, n, options.seeds))
    print("\nguarantees")
    rows = [
        guarantee(*case, draws=options.draws)
        for case in (
            ("recall", 0.95, 500, 0.2),
            ("recall", 0.95, 2_000, 0.1),
            ("recall", 0.8, 200, 0.1),
            ("precision", 0.8, 500, 0.2),
            ("precision", 0.9, 2_000, 0.2),
            ("precision", 0.9, 10_000, 0.1),
            ("false_positive_rate", 0.05, 500, 0.2),
            ("false_positive_rate", 0.01, 2_000, 0.1),
        )
    ]
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({"strategies": results, "guarantees": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
