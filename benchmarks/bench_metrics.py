"""Time the ranking metrics of many labels against a loop of scikit-learn's functions.

    python benchmarks/bench_metrics.py

Scores (float32 probabilities) and labels of n rows x L labels, all known or half of them missing:
average precision and ROC AUC per label against scikit-learn's functions on the known labels of
each column, which are timed on some of the labels and extrapolated. Log odds and float64 scores,
which have no integer keys, and micro-F1 and macro-F1 of labels are also compared with
scikit-learn. `attribute_report` is compared with the same metrics one by one. All are timed
alternately in one run on one thread; medians of `--repeats`. Extra memory is the peak traced by
`tracemalloc` during a call, relative to the size of the scores (of the report: of scores and
labels).
"""

import argparse
import json
import os
import platform
import time
import tracemalloc
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as sk

from skattr import metrics

SIZES = ((10_000, 64), (50_000, 312), (200_000, 620))
NAMES = ("average_precision_score", "roc_auc_score")


def make_data(n, n_labels, rng):
    """Return probabilities, labels with prevalence .5 % to 40 %, and labels half missing."""
    prevalence = np.exp(rng.uniform(np.log(0.005), np.log(0.4), n_labels)).astype(np.float32)
    labels = np.empty((n, n_labels), dtype=bool)
    scores = np.empty((n, n_labels), dtype=np.float32)
    half = np.empty((n, n_labels), dtype=np.float32)
    for start in range(0, n, 10_000):
        rows = slice(start, start + 10_000)
        shape = labels[rows].shape
        labels[rows] = rng.random(shape, dtype=np.float32) < prevalence
        odds = rng.standard_normal(shape, dtype=np.float32) + 1.5 * labels[rows]
        scores[rows] = 1 / (1 + np.exp(-odds))
        unknown = rng.random(shape, dtype=np.float32) < 0.5
        half[rows] = np.where(unknown, np.nan, labels[rows])
    return scores, labels, half


def loop(name, labels, scores):
    """Return scikit-learn's value of each column, on its known labels."""
    metric, values = getattr(sk, name), []
    for y, s in zip(labels.T, scores.T, strict=True):
        known = slice(None) if y.dtype == bool else ~np.isnan(y)
        values.append(metric(y[known], s[known]))
    return np.array(values)


def medians(ways, repeats):
    """Time functions alternately; return median seconds and last results."""
    seconds = {name: [] for name in ways}
    results = {}
    for _ in range(repeats):
        for name, function in ways.items():
            start = time.perf_counter()
            results[name] = function()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(took)) for name, took in seconds.items()}, results


def extra_memory(function):
    """Return the highest number of bytes allocated during a call."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def compare_ranking(name, labels, scores, some, repeats):
    """Return seconds, ratio, difference and memory of one ranking metric."""
    ours = getattr(metrics, name)
    part = slice(0, some)
    took, results = medians(
        {
            "ours": lambda: ours(labels, scores, average=None),
            "loop": lambda: loop(name, labels[:, part], scores[:, part]),
        },
        repeats,
    )
    took["loop"] *= labels.shape[1] / some
    difference = float(np.abs(results["ours"][part] - results["loop"]).max())
    memory = extra_memory(lambda: ours(labels, scores)) / scores.nbytes
    ratio = took["loop"] / took["ours"]
    return {"seconds": took, "ratio": ratio, "difference": difference, "extra_memory": memory}


def compare_labels(labels, predicted, few, repeats):
    """Return the ratios of F1 from labels, scikit-learn's timed on some of the rows."""
    ratios = {}
    for average in ("macro", "micro"):
        took, _ = medians(
            {
                "ours": lambda average=average: metrics.f1_score(
                    labels, predicted, average=average
                ),
                "theirs": lambda average=average: sk.f1_score(
                    labels[:few], predicted[:few], average=average, zero_division=0
                ),
            },
            repeats,
        )
        ratios[average] = took["theirs"] * len(labels) / few / took["ours"]
    return ratios


def report_of_sklearn(labels, scores):
    """Compute the metrics of the report by scikit-learn's functions on whole tables."""
    predicted = (scores >= 0.5).astype(int)
    for average in (None, "macro", "weighted", "micro"):
        for name in ("precision_score", "recall_score", "f1_score"):
            getattr(sk, name)(labels, predicted, average=average, zero_division=0)
        for name in NAMES:
            getattr(sk, name)(labels, scores, average=average)
    sk.multilabel_confusion_matrix(labels, predicted)
    for y, guess in zip(labels.T, predicted.T, strict=True):
        sk.accuracy_score(y, guess)
        sk.balanced_accuracy_score(y, guess)


def report_of_metrics(labels, scores):
    """Compute the metrics of the report by the functions of this package, each reading y."""
    predicted = scores >= 0.5
    metrics.confusion_counts(labels, predicted)
    for average in (None, "macro", "weighted", "micro"):
        for name in (
            "precision_score",
            "recall_score",
            "f1_score",
            "accuracy_score",
            "balanced_accuracy_score",
        ):
            getattr(metrics, name)(labels, predicted, average=average)
        for name in (*NAMES, "calibration_error"):
            getattr(metrics, name)(labels, scores, average=average)


def compare_report(repeats, rng):
    """Print and return the ratios of the report to the same metrics one by one."""
    row = {}
    for n, n_labels, theirs in (
        (300, 620, report_of_sklearn),
        (20_000, 300, report_of_metrics),
    ):
        scores, labels, _ = make_data(n, n_labels, rng)
        labels[:2] = [[True], [False]]  # scikit-learn's ROC AUC needs both classes
        ways = {
            "report": lambda s=scores, y=labels: metrics.attribute_report(y, y_score=s),
            "theirs": lambda s=scores, y=labels, f=theirs: f(y, s),
        }
        took, _ = medians(ways, repeats)
        memory = extra_memory(ways["report"]) / (scores.nbytes + labels.nbytes)
        row[theirs.__name__] = {**took, "extra_memory": memory}
        print(
            f"\nreport of {n:,} x {n_labels}: {took['report']:.3f} s, {theirs.__name__} "
            f"{took['theirs']:.3f} s, extra memory {memory:.2f} of the data"
        )
    return row


def compare(n, n_labels, repeats, rng):
    """Print and return the figures of one size."""
    scores, labels, half = make_data(n, n_labels, rng)
    some = min(n_labels, max(4, 3_000_000 // n))
    wide = min(n_labels, 64)
    odds = np.log(scores[:, :wide] / (1 - scores[:, :wide]))
    double = scores[:, :wide].astype(np.float64)
    print(f"\n{n:,} x {n_labels}: times as fast as the loop of scikit-learn")
    row = {"n": n, "labels": n_labels, "ranking": {}}
    for name in NAMES:
        cases = {
            "all known": (labels, scores),
            "half known": (half, scores),
            "log odds": (labels[:, :wide], odds),
            "float64": (labels[:, :wide], double),
        }
        for case, (y, s) in cases.items():
            figures = compare_ranking(name, y, s, min(some, s.shape[1]), repeats)
            row["ranking"][f"{name}, {case}"] = figures
            print(
                f"  {name:24s} {case:11s} {figures['seconds']['loop']:8.3f} s "
                f"{figures['seconds']['ours']:8.3f} s {figures['ratio']:6.1f} times, difference "
                f"{figures['difference']:.0e}, extra memory {figures['extra_memory']:.3f}"
            )
    row["f1"] = compare_labels(labels, scores >= 0.5, min(n, 10_000), repeats)
    print(f"  F1 of labels: macro {row['f1']['macro']:.0f} times, micro {row['f1']['micro']:.0f}")
    return row


def main():
    """Run all sizes and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/metrics.json")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    report = compare_report(options.repeats, rng)
    rows = [compare(n, n_labels, options.repeats, rng) for n, n_labels in SIZES]
    machine = {
        "processor": platform.processor(),
        "cores": os.cpu_count(),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(
        json.dumps({"machine": machine, "report": report, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
