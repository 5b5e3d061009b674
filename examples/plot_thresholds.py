"""
Three ways to better thresholds
===============================

A network gives probabilities; which of them are a "yes" is a question of its own. For rare
attributes one half is a poor answer. Here the thresholds follow the network in a Pipeline, are
tuned by a meta-estimator, and are fixed by hand; and what each claims is held against new rows.
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
# Material
# --------
# Coarse and noisy digits with eight attributes, some of them rare, and a fifth of the training
# labels unknown. Stratified splits keep the share of every attribute.

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
# ``cross_fit=5`` makes the network hand on out-of-fold probabilities, and with ``memory`` a grid
# over thresholds trains it once per fold, not once per candidate.


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
# ``TunedThresholdMultiOutputCV`` makes the out-of-fold scores itself, around any multi-output
# classifier: one fit per fold and one on all rows. ``best_score_`` is for thresholds found on the
# other folds. Under ``cross_validate`` it is nested: no threshold has seen the rows that judge it.

network.set_params(cross_fit=None)
tuned = TunedThresholdMultiOutputCV(network, cv=5, store_cv_results=True)
tuned.fit(X_train, y_train)
results["meta-estimator"] = (tuned.best_score_, tuned.in_sample_score_, test_f1(tuned))
nested = cross_validate(tuned, X_train, y_train, cv=MultilabelStratifiedKFold(3), scoring=score)
print(f"nested cross-validation: {nested['test_score'].mean():.3f}")
print(f"best_score_ {tuned.best_score_:.3f}, on the test rows {test_f1(tuned):.3f}")

# %%
# The scores are kept, so that another objective costs no fit: the best precision at which 95 of
# 100 positives are found, with a confidence of .95. Where positives are too few to promise
# that, a warning says so.

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
# A number, a vector or a dict fixes them; the network is trained once, on all rows.

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
# What they claim and what they deliver
# -------------------------------------

table = pd.DataFrame(results, ["claimed, out of fold", "claimed, in sample", "test"]).T
print(table.round(3).to_string())
axes = table.plot.barh(figsize=(7, 3.2), color=["C0", "lightgray", "C2"])
axes.set(xlabel="macro F1", xlim=(0, 1))
axes.figure.tight_layout()
plt.show()
