"""Compare methods for rare labels: weights, losses and thresholds.

    python benchmarks/bench_rare_labels.py

40 labels have about 10 positives each in 2,000 rows of 20 normal features; the log odds of a label
are a linear map minus a constant. All classifiers are one linear map to the log odds, with the
same recipe. The script prints means over seeds on 50,000 new rows: macro F1, predicted positives
divided by positives, mean average precision, log loss and calibration error of the
probabilities, the cross-validated score of the tuned classifiers (`best_score_`) minus their F1,
and the seconds to fit. "undone" divides the predicted odds by the weight of positives. "truth" is
the true probability with the best threshold on the new rows, which is the attainable optimum.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from skattr import AttributeClassifier, CalibratedMultiOutputCV, TunedThresholdMultiOutputCV
from skattr.exceptions import SkattrWarning
from skattr.metrics import average_precision_score, calibration_error, f1_score, log_loss
from skattr.thresholds import find_thresholds

N_FEATURES = 20
WAYS = {
    "plain": {},
    "pos_weight": {"pos_weight": "balanced"},
    "asymmetric": {"loss": "asymmetric"},
    "focal": {"loss": "focal"},
}


class Rare:
    """Labels of equal prevalence whose log odds are linear in normal features."""

    def __init__(self, rng, n_labels, prevalence):
        self.rng = rng
        directions = rng.normal(size=(N_FEATURES, n_labels))
        slopes = rng.uniform(1.5, 3.5, n_labels)
        self.coefficients = slopes * directions / np.linalg.norm(directions, axis=0)
        # The log odds are normal with the slope as standard deviation, so that the mean of expit
        # can be integrated.
        nodes, weights = np.polynomial.hermite_e.hermegauss(201)
        self.offsets = np.array(
            [
                brentq(
                    lambda t, s=s: weights @ expit(s * nodes - t) / weights.sum() - prevalence,
                    0,
                    40,
                )
                for s in slopes
            ]
        )

    def draw(self, n):
        """Return features, labels and true probabilities of `n` rows."""
        X = self.rng.normal(size=(n, N_FEATURES)).astype(np.float32)
        p = expit(X @ self.coefficients - self.offsets)
        return X, (self.rng.random(p.shape) < p).astype(int), p


def scores(y, predicted, proba):
    """Return the scores of labels and of probabilities (n, n_labels)."""
    return {
        "macro F1": f1_score(y, predicted),
        "predicted": float(predicted.sum() / y.sum()),
        "mAP": average_precision_score(y, proba),
        "log loss": log_loss(y, proba),
        "calibration": calibration_error(y, proba),
    }


def one_seed(options, seed):
    """Return {method: scores} for one random set of labels."""
    labels = Rare(np.random.default_rng(seed), options.labels, options.positives / options.rows)
    (X, y, _), (X_test, y_test, truth) = labels.draw(options.rows), labels.draw(options.test_rows)
    best = find_thresholds(y_test, truth, strategy="exact")
    result = {"truth": {**scores(y_test, truth >= best.thresholds, truth)}}

    def fit(name, model):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkattrWarning)  # folds without a positive
            model.fit(X, y)
        seconds = time.perf_counter() - start
        proba = np.stack([p[:, 1] for p in model.predict_proba(X_test)], axis=1)
        row = scores(y_test, model.predict(X_test), proba)
        if hasattr(model, "best_score_"):
            row["claim less F1"] = model.best_score_ - row["macro F1"]
        result[name] = row | {"seconds": seconds}

    for name, params in WAYS.items():
        network = AttributeClassifier(max_epochs=options.epochs, random_state=seed, **params)
        fit(name, network)
        fit(f"{name}, tuned", TunedThresholdMultiOutputCV(network, cv=5, random_state=seed))
    network.set_params(loss="auto", **WAYS["pos_weight"])
    fit("pos_weight, undone", CalibratedMultiOutputCV(network, method="prior"))
    return result


def main():
    """Run all methods and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--positives", type=float, default=10, help="expected, of each label")
    parser.add_argument("--labels", type=int, default=40)
    parser.add_argument("--test-rows", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/rare_labels.json"
    )
    options = parser.parse_args()
    runs = [one_seed(options, seed) for seed in range(options.seeds)]
    means = {name: pd.DataFrame([run[name] for run in runs]).mean() for name in runs[0]}
    errors = {name: pd.DataFrame([run[name] for run in runs]).sem() for name in runs[0]}
    table = pd.DataFrame(means).T[[*runs[0]["plain, tuned"]]]
    print(f"{options.labels} labels, {options.positives:g} positives in {options.rows:,} rows")
    print(table.to_string(float_format="{:.4f}".format, na_rep=""))
    print(f"largest standard error of a macro F1: {pd.DataFrame(errors).T['macro F1'].max():.4f}")
    options.out.parent.mkdir(exist_ok=True)
    given = {name: value for name, value in vars(options).items() if name != "out"}
    kept = {name: row.dropna().to_dict() for name, row in means.items()}
    options.out.write_text(json.dumps({**given, "rows_of_table": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
