"""
Three ways to better thresholds
===============================

A network predicts probabilities; labels need a threshold. For rare attributes one half is a poor
choice. This example tunes thresholds in a step of a Pipeline and with a meta-estimator, sets them
by hand, and compares the scores that each way reports with those on new rows.
"""

import tempfile
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline

from skattr import AttributeClassifier, ThresholdCalibrator, TunedThresholdMultiOutputCV
from skattr.exceptions import InSampleWarning
from skattr.model_selection import MultilabelStratifiedKFold, multilabel_train_test_split

# %%
# Data
# ----
# Coarse and noisy digits have eight attributes, some of them rare. A fifth of the training labels
# is missing. Stratified splits preserve the share of every attribute.

rng = np.random.default_rng(0)
digits = load_digits()
digit, ink = digits.target, digits.data.mean(axis=1)
X = digits.data / 16 + rng.normal(scale=0.6, size=digits.data.shape)
y = pd.DataFrame(
    {
        "loop": np.isin(digit, [0, 6, 8, 9]),
        "even": digit % 2 == 0,
        "seven": digit == 7,
        "heavy": ink > np.quantile(ink, 0.9),
        "heavy loop": np.isin(digit, [0, 6, 8, 9]) & (ink > np.quantile(ink, 0.85)),
        "pale nine": (digit == 9) & (ink < np.quantile(ink, 0.5)),
        "pale one": (digit == 1) & (ink < np.quantile(ink, 0.5)),
        "dark four": (digit == 4) & (ink > np.quantile(ink, 0.6)),
    }
)
X_train, X_test, y_train, y_test = multilabel_train_test_split(X, y, test_size=0.5, random_state=0)
y_train = y_train.astype("boolean").mask(rng.random(y_train.shape) < 0.2)
print(pd.DataFrame({"share": y.mean(), "known positives": y_train.sum()}).round(3))

network = AttributeClassifier("mlp", lr=3e-3, max_epochs=8, random_state=0)


def test_f1(model):
    """Return the mean F1 over attributes on the test rows."""
    return f1_score(y_test, model.predict(X_test).astype(bool), average="macro", zero_division=0)


plain = network.fit(X_train, y_train)
results = {"one half": (np.nan, np.nan, test_f1(plain))}

# %%
# 1. A step behind the network
# ----------------------------
# With ``cross_fit=5`` the network passes out-of-fold probabilities to the next step. With
# ``memory`` a grid over thresholds trains the network once per fold, not once per candidate.


def score(pipeline, X, y):
    """Return the mean F1 over the known labels of each attribute."""
    predicted = pd.DataFrame(pipeline.predict(X), columns=y.columns)
    known = {name: y[name].notna().to_numpy() for name in y}
    return np.mean(
        [
            f1_score(y[name][rows].astype(bool), predicted[name][rows].astype(bool))
            for name, rows in known.items()
        ]
    )


memory = tempfile.TemporaryDirectory()
pipeline = Pipeline(
    [("network", network.set_params(cross_fit=5)), ("thresholds", ThresholdCalibrator())],
    memory=memory.name,
)
grid = GridSearchCV(
    pipeline,
    {"thresholds__strategy": ["auto", "exact"], "thresholds__thresholds": ["tune", 0.2]},
    scoring=score,
    cv=MultilabelStratifiedKFold(3),
).fit(X_train, y_train)
memory.cleanup()
print(pd.DataFrame(grid.cv_results_)[["params", "mean_test_score"]].to_string())
calibrator = grid.best_estimator_["thresholds"]
print(pd.Series(calibrator.best_threshold_, y.columns).round(2).to_string())
results["Pipeline"] = (calibrator.best_score_, calibrator.in_sample_score_, test_f1(grid))

# %%
# 2. A meta-estimator
# -------------------
# ``TunedThresholdMultiOutputCV`` computes the out-of-fold scores itself, for any multi-output
# classifier: one fit per fold and one on all rows. ``best_score_`` is cross-validated: thresholds
# are found on the other folds. With ``cross_validate`` the whole procedure is nested.

network.set_params(cross_fit=None)
tuned = TunedThresholdMultiOutputCV(network, cv=5, store_cv_results=True)
tuned.fit(X_train, y_train)
results["meta-estimator"] = (tuned.best_score_, tuned.in_sample_score_, test_f1(tuned))
nested = cross_validate(tuned, X_train, y_train, cv=MultilabelStratifiedKFold(3), scoring=score)
print(f"nested cross-validation: {nested['test_score'].mean():.3f}")
print(f"best_score_ {tuned.best_score_:.3f}, on the test rows {test_f1(tuned):.3f}")

# %%
# The scores are stored, so that another objective needs no further fit: here the best precision
# with a recall of at least 0.95, at a confidence of 0.95. A warning names the attributes with too
# few positives for this guarantee.

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    tuned.retune(objective="precision", constraint=("recall", 0.95), confidence=0.95)
print(caught[-1].message)
safe = tuned.predict(X_test).astype(bool)
recall = (safe & y_test.to_numpy()).sum(axis=0) / y_test.sum()
print(pd.DataFrame({"threshold": tuned.best_threshold_, "recall": recall}).round(2).to_string())

# %%
# 3. Thresholds from elsewhere
# ----------------------------
# Thresholds can be a number, a vector or a dict; the network is trained once, on all rows.

fixed = Pipeline(
    [
        ("network", network),
        ("thresholds", ThresholdCalibrator(thresholds=calibrator.best_threshold_)),
    ]
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", InSampleWarning)  # nothing is tuned on these scores
    fixed.fit(X_train, y_train)
results["fixed"] = (np.nan, np.nan, test_f1(fixed))

# %%
# Reported and actual scores
# --------------------------

table = pd.DataFrame(results, ["reported, out of fold", "reported, in sample", "test"]).T
print(table.round(3).to_string())
axes = table.plot.barh(figsize=(7, 3.2), color=["C0", "lightgray", "C2"])
axes.set(xlabel="macro F1", xlim=(0, 1))
axes.figure.tight_layout()
plt.show()
