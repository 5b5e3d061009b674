"""Measure what calibration gains where it is needed, and costs where it is not.

    python benchmarks/bench_calibration.py    # about 4 minutes on one core; --draws

Log odds are normal, so that the true probability of each label is known. The scores are the true
probabilities, over-confident ones (log odds times 2) or shifted ones (log odds plus 1.5). Each
method is fitted on n labels; the table has the excess of its log loss on 20,000 new rows over that
of the true probabilities, in thousandths, the mean over the draws. Attributes with too few labels
for a method are not calibrated by it. The last rows are attributes of four classes.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, softmax

from skattr.calibration._calibrators import Identity, fit_calibrator

SIZES = (200, 1_000, 5_000, 20_000)
PREVALENCES = (0.5, 0.1, 0.01)
METHODS = ("auto", "sigmoid", "temperature", "beta", "isotonic")
SPREAD = 2.0  # standard deviation of the log odds
N_TEST = 20_000
CHANGES = {
    "calibrated": lambda odds: odds,
    "over-confident": lambda odds: 2 * odds,
    "shifted": lambda odds: odds + 1.5,
}
CLASS_CHANGES = {
    "calibrated": lambda logits: logits,
    "over-confident": lambda logits: 2 * logits,
    "shifted": lambda logits: logits + np.array([1.5, 0, 0, 0]),
}


def excess(scores, truth):
    """Return the expected log loss above that of the true probabilities."""
    scores = np.clip(scores, 1e-15, 1 - 1e-15)
    if truth.ndim == 2:
        return float(np.mean((truth * np.log(truth / scores)).sum(axis=1)))
    other, others = 1 - truth, np.clip(1 - scores, 1e-15, 1)
    return float(np.mean(truth * np.log(truth / scores) + other * np.log(other / others)))


def binary_case(n, prevalence, change, rng):
    """Return functions from a number of rows to scores and true probabilities, and labels."""
    z = np.random.default_rng(9).normal(0, SPREAD, 100_000)
    center = brentq(lambda m: expit(m + z).mean() - prevalence, -30, 30)
    odds, new = rng.normal(center, SPREAD, n), rng.normal(center, SPREAD, N_TEST)
    labels = rng.binomial(1, expit(odds))
    return expit(change(odds)), labels, expit(change(new)), expit(new)


def class_case(n, _, change, rng):
    """Return the same for four classes, of which the first is shifted."""
    logits, new = rng.normal(0, SPREAD, (n, 4)), rng.normal(0, SPREAD, (N_TEST, 4))
    truth = softmax(logits, axis=1)
    labels = (truth.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 3)
    return softmax(change(logits), axis=1), labels, softmax(change(new), axis=1), softmax(new, 1)


def measure(case, n, prevalence, change, methods, draws, rng):
    """Return the mean excess of each method, in thousandths."""
    rows = {method: [] for method in ("none", *methods)}
    for _ in range(max(4, draws * 200 // n)):
        scores, labels, new, truth = case(n, prevalence, change, rng)
        for method in rows:
            calibrator = Identity(True)
            if method != "none":
                calibrator, _ = fit_calibrator(method, scores, labels, np.ones(n), True)
            rows[method].append(1000 * excess(calibrator(new), truth))
    return {method: float(np.mean(values)) for method, values in rows.items()}


def main():
    """Print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--draws", type=int, default=100, help="at 200 rows; fewer at more rows")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/calibration.json"
    )
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    figures = []
    print("| scores | prevalence | n | none |", " | ".join(METHODS), "|")
    print("|---" * (4 + len(METHODS)), "|", sep="")
    cases = [
        (binary_case, name, prevalence, change, METHODS)
        for name, change in CHANGES.items()
        for prevalence in PREVALENCES
    ]
    cases += [
        (class_case, name, "4 classes", change, ("auto", "temperature"))
        for name, change in CLASS_CHANGES.items()
    ]
    for case, name, prevalence, change, methods in cases:
        for n in SIZES:
            means = measure(case, n, prevalence, change, methods, options.draws, rng)
            figures.append({"scores": name, "prevalence": prevalence, "n": n, **means})
            cells = [f"{means[m]:.1f}" if m in means else "" for m in ("none", *METHODS)]
            print(f"| {name} | {prevalence} | {n:,} |", " | ".join(cells), "|", flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
