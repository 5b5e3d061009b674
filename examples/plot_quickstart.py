"""
Quickstart: pictures on disk, a table of attributes, some cells unknown
=======================================================================

The 1,797 handwritten digits that come with scikit-learn are written as picture files beside a
table of four attributes, some of whose cells are blank. One network learns all of them.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, hamming_loss
from sklearn.model_selection import KFold, cross_validate, train_test_split

from skattr import AttributeClassifier

# %%
# A folder of pictures and a table
# --------------------------------
# One row a picture, one column an attribute. The columns keep their own types: a number, two
# bools, and a string whose levels have an order.

digits = load_digits()
folder = tempfile.TemporaryDirectory()
paths = []
for number, scan in enumerate(digits.images):
    path = Path(folder.name) / f"{number:04d}.png"
    Image.fromarray(np.uint8(scan * (255 / 16))).save(path)
    paths.append(str(path))

ink = pd.qcut(digits.images.mean(axis=(1, 2)), 3, labels=["light", "medium", "heavy"])
table = pd.DataFrame(
    {
        "digit": digits.target,
        "loop": np.isin(digits.target, [0, 6, 8, 9]),
        "even": digits.target % 2 == 0,
        "ink": ink,
    }
)
print(table.head())

# %%
# Nobody knows everything: a fifth of the training cells is blanked.

paths_train, paths_test, y_train, y_test = train_test_split(paths, table, random_state=0)
blank = np.random.default_rng(0).random(y_train.shape) < 0.2
y_train = y_train.astype({"digit": "Int64", "loop": "boolean", "even": "boolean"}).mask(blank)
print(f"{blank.sum()} of {blank.size} training labels are unknown.")

# %%
# Fit and predict
# ---------------
# A ResNet-18, trained from scratch, with one branch per attribute. A flip would turn some digits
# into other signs; a small shift does not.

classifier = AttributeClassifier(
    "resnet18", image_size=32, augment="shift", max_epochs=6, random_state=0, verbose=1
)
classifier.fit(paths_train, y_train)
print(dict(zip(classifier.output_names_, classifier.attribute_kinds_, strict=True)))

# %%
# Predictions come back in the labels of the table, in the order of its columns.

predicted = pd.DataFrame(
    classifier.predict(paths_test), columns=classifier.output_names_, index=y_test.index
).astype({"digit": int, "loop": bool, "even": bool, "ink": str})

losses = {name: hamming_loss(y_test[name], predicted[name]) for name in table}
print(f"hamming loss {np.mean(list(losses.values())):.3f}")
for name in table:
    print(f"{name:>6}: F1 {f1_score(y_test[name], predicted[name], average='macro'):.3f}")

# %%
# A look at some of them
# ----------------------
# Wrong attributes are set in capitals.


def described(row: int) -> str:
    """Write the predicted attributes of a test picture, the wrong ones in capitals."""
    truth, guess = y_test.iloc[row], predicted.iloc[row]
    words = {
        "digit": str(guess["digit"]),
        "loop": "loop" if guess["loop"] else "no loop",
        "even": "even" if guess["even"] else "odd",
        "ink": guess["ink"],
    }
    return "\n".join(
        word if guess[name] == truth[name] else f"{word.upper()} (!)"
        for name, word in words.items()
    )


figure, axes = plt.subplots(2, 6, figsize=(10, 5), layout="constrained")
for row, ax in enumerate(axes.flat):
    ax.imshow(Image.open(paths_test[row]), cmap="gray_r")
    ax.set_title(described(row), fontsize=9)
    ax.set_axis_off()
figure.savefig("quickstart.png")

# %%
# Cross-validation
# ----------------
# The classifier is a scikit-learn classifier. Its score is the share of pictures all of whose
# known attributes are right.

classifier.set_params(max_epochs=4, verbose=0)
scores = cross_validate(classifier, paths_train, y_train, cv=KFold(3))["test_score"]
print(f"all known attributes right: {scores.mean():.3f} +/- {scores.std():.3f}")

folder.cleanup()
