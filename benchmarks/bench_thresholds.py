"""Time the threshold search against equivalent loops over scikit-learn.

    python benchmarks/bench_thresholds.py

`find_thresholds` finds the best F1 of each label for n rows x L labels of float32 probabilities,
on one thread and on two. It is compared with a loop of `precision_recall_curve` (the fastest exact
way in scikit-learn), with a grid of 99 thresholds and `f1_score`, and with the curve of
`TunedThresholdClassifierCV` over 100 thresholds. `ThresholdCalibrator.fit` also reads labels, and
computes a cross-validated score or not. The loops are timed on some of the labels and
extrapolated. The joint optimum of micro-F1, the best recall at a precision, log odds and float64
scores are compared with the loop, too. All are timed in turn in one run; the results are medians
of `--repeats`. Extra memory is the peak that `tracemalloc` traces during a call, divided by the
size of the scores. As a lower limit, the time of reading scores and labels once, and of sorting
as many entries, is printed.
"""

import argparse
import json
import os
import platform
import time
import tracemalloc
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import f1_score, make_scorer, precision_recall_curve
from sklearn.metrics._scorer import _CurveScorer

from skattr.thresholds import ThresholdCalibrator, find_thresholds

SIZES = ((10_000, 64), (50_000, 312), (200_000, 620))


def make_data(n, n_labels, rng):
    """Return probabilities and labels with a prevalence of .5 % to 40 %."""
    prevalence = np.exp(rng.uniform(np.log(0.005), np.log(0.4), n_labels)).astype(np.float32)
    labels = np.empty((n, n_labels), dtype=bool)
    scores = np.empty((n, n_labels), dtype=np.float32)
    for start in range(0, n, 10_000):
        rows = slice(start, start + 10_000)
        shape = labels[rows].shape
        labels[rows] = rng.random(shape, dtype=np.float32) < prevalence
        odds = rng.standard_normal(shape, dtype=np.float32) + 1.5 * labels[rows]
        scores[rows] = 1 / (1 + np.exp(-odds))
    return scores, labels


class PassThrough(ClassifierMixin, BaseEstimator):
    """Binary classifier whose X are its probabilities."""

    classes_ = np.array([0, 1])

    def fit(self, X, y):
        """Do nothing."""
        return self

    def predict_proba(self, X):
        """Return the probabilities of both classes."""
        return np.column_stack([1 - X, X])


def loop_of_curves(scores, labels):
    """Return the best F1 of each label by scikit-learn's precision-recall curve."""
    best = []
    for s, y in zip(scores.T, labels.T, strict=True):
        precision, recall, _ = precision_recall_curve(y, s)
        best.append(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
    return np.array(best)


def loop_of_recalls(scores, labels, bound=0.7):
    """Return the best recall at a precision of each label, NaN if it is not attainable."""
    best = []
    for s, y in zip(scores.T, labels.T, strict=True):
        precision, recall, _ = precision_recall_curve(y, s)
        reached = recall[:-1][precision[:-1] >= bound]
        best.append(reached.max() if len(reached) else np.nan)
    return np.array(best)


def grid_of_scores(scores, labels):
    """Return the best F1 of each label over 99 thresholds."""
    thresholds = np.linspace(0.01, 0.99, 99)
    return np.array(
        [
            max(f1_score(y, s >= threshold) for threshold in thresholds)
            for s, y in zip(scores.T, labels.T, strict=True)
        ]
    )


def curve_scorer(scores, labels):
    """Return the best F1 of each label over 100 thresholds of TunedThresholdClassifierCV."""
    scorer = _CurveScorer.from_scorer(make_scorer(f1_score), "predict_proba", 100)
    return np.array(
        [scorer(PassThrough(), s, y)[0].max() for s, y in zip(scores.T, labels.T, strict=True)]
    )


def seconds(function):
    """Return the duration of a call and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def medians(functions, repeats):
    """Time functions in turn; return the median seconds of each and its last result."""
    times = {name: [] for name in functions}
    results = {}
    for _ in range(repeats):
        for name, function in functions.items():
            took, results[name] = seconds(function)
            times[name].append(took)
    return {name: float(np.median(took)) for name, took in times.items()}, results


def extra_memory(function):
    """Return the peak number of bytes that a call allocates."""
    tracemalloc.start()
    function()
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


def limits(scores, labels, repeats):
    """Return the seconds of reading scores and labels, and of sorting as many entries."""
    keys = np.empty((1, len(scores)), dtype=np.uint32)
    source = scores[:, 0].view(np.uint32).copy()

    def sort():
        keys[0] = source
        keys.sort(axis=1)

    took, _ = medians({"read": lambda: (scores.sum(), labels.any()), "sort": sort}, repeats)
    return took["read"], took["sort"] * scores.shape[1]


def compare(n, n_labels, repeats, rng):
    """Time all functions on one size; print and return the results."""
    scores, labels = make_data(n, n_labels, rng)
    n_timed = min(n_labels, max(4, 3_000_000 // n))  # labels that the loop is timed on
    n_slow = max(1, min(4, 100_000 // n))
    part = slice(0, n_timed)
    functions = {
        "loop": lambda: loop_of_curves(scores[:, part], labels[:, part]),
        "one thread": lambda: find_thresholds(labels, scores, strategy="exact"),
        "two threads": lambda: find_thresholds(labels, scores, n_jobs=2, strategy="exact"),
        "calibrator": lambda: ThresholdCalibrator(strategy="exact").fit(scores, labels),
        "calibrator without score": lambda: ThresholdCalibrator(
            strategy="exact", cross_validate=False
        ).fit(scores, labels),
        "joint micro-F1": lambda: find_thresholds(
            labels, scores, average="micro", strategy="exact"
        ),
        "loop, recall at precision": lambda: loop_of_recalls(scores[:, part], labels[:, part]),
        "recall at precision": lambda: find_thresholds(
            labels, scores, "recall", constraint=("precision", 0.7)
        ),
    }
    took, results = medians(functions, repeats)
    for name in ("loop", "loop, recall at precision"):
        took[name] *= n_labels / n_timed
    found = results["one thread"]
    difference = float(np.abs(found.values[part] - results["loop"]).max())
    recall_difference = float(
        np.nanmax(
            np.abs(
                results["recall at precision"].values[part] - results["loop, recall at precision"]
            )
        )
    )
    slow, _ = medians(
        {
            "grid": lambda: grid_of_scores(scores[:, :n_slow], labels[:, :n_slow]),
            "tuned": lambda: curve_scorer(scores[:, :n_slow], labels[:, :n_slow]),
        },
        1,
    )
    slow = {name: value * n_labels / n_slow for name, value in slow.items()}
    wide = min(n_labels, 64)
    odds = np.log(scores[:, :wide] / (1 - scores[:, :wide]))
    double = scores[:, :wide].astype(np.float64)
    other, _ = medians(
        {
            "loop": lambda: loop_of_curves(
                odds[:, : min(n_timed, wide)], labels[:, : min(n_timed, wide)]
            ),
            "log odds": lambda: find_thresholds(labels[:, :wide], odds, strategy="exact"),
            "loop, float64": lambda: loop_of_curves(
                double[:, : min(n_timed, wide)], labels[:, : min(n_timed, wide)]
            ),
            "float64": lambda: find_thresholds(labels[:, :wide], double, strategy="exact"),
        },
        repeats,
    )
    scale = wide / min(n_timed, wide)
    memory = {
        str(jobs): extra_memory(
            lambda jobs=jobs: find_thresholds(labels, scores, n_jobs=jobs, strategy="exact")
        )
        / scores.nbytes
        for jobs in (1, 2)
    }
    read, sort = limits(scores, labels, repeats)
    loop = took["loop"]
    row = {
        "n": n,
        "labels": n_labels,
        "seconds": took | slow,
        "one_thread": loop / took["one thread"],
        "two_threads": loop / took["two threads"],
        "calibrator": loop / took["calibrator"],
        "calibrator_without_score": loop / took["calibrator without score"],
        "grid_99": slow["grid"] / took["one thread"],
        "tuned_100": slow["tuned"] / took["one thread"],
        "joint_micro_f1": loop / took["joint micro-F1"],
        "recall_at_precision": took["loop, recall at precision"] / took["recall at precision"],
        "log_odds": other["loop"] * scale / other["log odds"],
        "float64": other["loop, float64"] * scale / other["float64"],
        "extra_memory": memory,
        "difference": difference,
        "recall_difference": recall_difference,
        "micro_f1_joint": results["joint micro-F1"].value,
        "micro_f1_one_threshold": None,
        "bytes": scores.nbytes + labels.nbytes,
        "entries": scores.size,
        "times_reading": took["one thread"] / read,
        "times_sorting": took["one thread"] / sort,
    }
    if scores.size < 20_000_000:
        row["micro_f1_one_threshold"] = find_thresholds(
            labels, scores, average="global", strategy="exact"
        ).value
    print_row(row)
    return row


def print_row(row):
    """Print the results of one size."""
    took = row["seconds"]
    print(f"\n{row['n']:,} x {row['labels']}: speed relative to a loop of precision_recall_curve")
    print(f"  the loop                 {took['loop']:9.3f} s")
    for name, key in (("one thread", "one_thread"), ("two threads", "two_threads")):
        print(f"  {name:24s} {took[name]:9.3f} s  {row[key]:7.1f} times")
    print(
        f"  joint micro-F1           {took['joint micro-F1']:9.3f} s  {row['joint_micro_f1']:7.1f}"
    )
    print(
        f"  recall at precision .7   {took['recall at precision']:9.3f} s  "
        f"{row['recall_at_precision']:7.1f}"
    )
    print(f"  log odds                              {row['log_odds']:7.1f}")
    print(f"  float64                               {row['float64']:7.1f}")
    print(f"against a grid of 99 f1_scores            {row['grid_99']:9.0f}")
    print(f"against TunedThresholdClassifierCV's curve{row['tuned_100']:9.0f}")
    memory = ", ".join(f"{share:.3f} on {jobs}" for jobs, share in row["extra_memory"].items())
    print(f"extra memory, as a share of the scores: {memory} thread(s)")
    print(
        f"largest difference to the loop: {row['difference']:.1e}, {row['recall_difference']:.1e}"
    )
    print(
        f"limits: {row['bytes'] / 1e6:.0f} MB read, {row['entries'] / 1e6:.1f} M entries sorted; "
        f"one thread takes {row['times_reading']:.1f} times the reading and "
        f"{row['times_sorting']:.2f} times the sorting"
    )
    if row["micro_f1_one_threshold"] is not None:
        gain = 100 * (row["micro_f1_joint"] - row["micro_f1_one_threshold"])
        print(f"joint micro-F1 over one threshold for all: {gain:+.1f} points")


def main():
    """Run all sizes and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/thresholds.json"
    )
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = [compare(n, n_labels, options.repeats, rng) for n, n_labels in SIZES]
    machine = {"processor": platform.processor(), "cores": os.cpu_count(), "numpy": np.__version__}
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
