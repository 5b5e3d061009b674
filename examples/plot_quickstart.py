"""
Quickstart: images on disk and a table of attributes with missing labels
========================================================================

The 1,797 handwritten digits of scikit-learn are written to image files, with a table of five
attributes, some labels of which are missing. One network learns all attributes, its thresholds are
tuned, and a report shows how reliable the predictions are.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

from skattr import AttributeClassifier, TunedThresholdMultiOutputCV
from skattr.inspection import AttributeScoresDisplay, GalleryDisplay, ThresholdCurveDisplay
from skattr.metrics import attribute_report
from skattr.model_selection import multilabel_train_test_split

# %%
# A folder of images and a table
# --------------------------------
# The table has one row per image and one column per attribute. The columns keep their own types: a
# number, three bools, one of them rare, and an ordered categorical.

digits = load_digits()
folder = tempfile.TemporaryDirectory()
paths = []
for number, scan in enumerate(digits.images):
    path = Path(folder.name) / f"{number:04d}.png"
    Image.fromarray(np.uint8(scan * (255 / 16))).save(path)
    paths.append(str(path))

width = (digits.images.max(axis=1) > 4).sum(axis=1)
ink = pd.qcut(digits.images.mean(axis=(1, 2)), 3, labels=["light", "medium", "heavy"])
table = pd.DataFrame(
    {
        "digit": digits.target,
        "loop": np.isin(digits.target, [0, 6, 8, 9]),
        "even": digits.target % 2 == 0,
        "narrow": width <= 3,
        "ink": ink,
    }
)
print(table.head())

# %%
# Labels are often incomplete: a fifth of the training labels is removed.

paths_train, paths_test, y_train, y_test = multilabel_train_test_split(paths, table, random_state=0)
blank = np.random.default_rng(0).random(y_train.shape) < 0.2
types = {"digit": "Int64", "loop": "boolean", "even": "boolean", "narrow": "boolean"}
y_train = y_train.astype(types).mask(blank)
print(f"{blank.sum()} of {blank.size} training labels are missing.")

# %%
# Fit, tune and predict
# ---------------------
# The network is a ResNet-18, trained from scratch, with one branch per attribute. A flip would turn
# some digits into other signs; a small shift does not. Three more networks, each trained on two
# thirds of the images, predict out-of-fold probabilities, on which a threshold is tuned for each
# binary attribute. `best_score_` estimates the score of these thresholds on new images.

classifier = AttributeClassifier(
    "resnet18", image_size=32, augment="shift", max_epochs=5, random_state=0
)
tuned = TunedThresholdMultiOutputCV(classifier, objective="f1", cv=3)
tuned.fit(paths_train, y_train)
print(pd.Series(tuned.best_threshold_, tuned.output_names_).dropna().round(2).to_dict())
print(f"mean F1 of the binary attributes, out of fold: {tuned.best_score_:.3f}")

# %%
# Predictions are labels of the table, in the order of its columns.

predicted = pd.DataFrame(tuned.predict(paths_test), columns=tuned.output_names_)
print(predicted.head())

# %%
# Evaluation
# ----------
# The report has one row per attribute, with confidence intervals, and the averages below.

report = attribute_report(
    y_test,
    predicted.astype(table.dtypes.astype(str).replace("category", "str").to_dict()),
    tuned.predict_proba(paths_test),
    thresholds=tuned.best_threshold_,
    confidence=0.95,
)
columns = ["known", "TP", "FN", "FP", "TN", "precision", "recall", "f1", "f1_low", "f1_high"]
print(report[[*columns, "roc_auc", "threshold"]])

# %%
# The figures show the F1 of each attribute with its interval, the threshold curves, and the test
# images with the largest errors.

scores = AttributeScoresDisplay.from_estimator(tuned, paths_test, y_test)
scores.figure_.savefig("quickstart_scores.png", dpi=150)

curves = ThresholdCurveDisplay.from_estimator(tuned, paths_test, y_test)
curves.figure_.savefig("quickstart_thresholds.png", dpi=150)

gallery = GalleryDisplay.from_estimator(tuned, paths_test, y_test, order="worst")
gallery.figure_.savefig("quickstart.png", dpi=150)
plt.show()

folder.cleanup()
