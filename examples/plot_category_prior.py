"""
The seal and the sea: the object's category as a prior
======================================================

"Blue" describes the sea and not the seal, and a large ball is smaller than a small boat: the
meaning of an attribute depends on the object. If the category of the object is known, it can be an
input or a target of the network. This example compares the ways to use it.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from torch import nn

from skattr import AttributeClassifier
from skattr.datasets import make_category_images
from skattr.metrics import accuracy_score, average_precision_score, f1_score

# %%
# Data
# ----
# Each image shows two objects; the attributes are those of the object in front. The background and
# the other object have their own colors, stripes and size. Herrings have the outline of tunas, and
# balls that of buoys. X is a table with the columns ``path`` and ``category``.

folder = tempfile.TemporaryDirectory()
train = make_category_images(1500, folder=Path(folder.name, "train"), random_state=0)
test = make_category_images(1000, folder=Path(folder.name, "test"), random_state=1)
print(train.data.drop(columns="path").join(train.target).head())
print(train.target.astype(float).groupby(train.category).mean().round(2))

# %%
# Four networks
# -------------
# They differ in `category_prior` only. With "joint" the branch of each attribute predicts {absent}
# and all categories; with "auxiliary" one more branch predicts the category. Both need it in `fit`
# only. With "condition" the category scales and shifts the features of the image, and is needed in
# prediction too.


def convolutions():
    """Return a small network for small images."""
    layers = []
    for inputs, outputs, step in [(3, 16, 1), (16, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1)]:
        layers += [nn.Conv2d(inputs, outputs, 3, step, padding=1)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


classifier = AttributeClassifier(
    convolutions, image_size=32, augment="flip", lr=3e-3, max_epochs=12, random_state=0
)
fish = test.category.isin(["tuna", "herring"])
f1, summary = {}, {}
for prior in [None, "joint", "auxiliary", "condition"]:
    classifier.set_params(category_prior=prior).fit(train.data, train.target)
    predicted = pd.DataFrame(classifier.predict(test.data), columns=list(test.target))
    proba = classifier.predict_proba(test.data)
    f1[str(prior)] = f1_score(test.target, predicted, average=None)
    summary[str(prior)] = {
        "macro F1": f1_score(test.target, predicted),
        "mean average precision": average_precision_score(test.target, proba),
        "large fish": accuracy_score(test.target["large"][fish], predicted["large"][fish]),
    }
f1 = pd.DataFrame(f1, index=list(test.target))
print(pd.DataFrame(summary).T.round(3))

# %%
# Results
# -------
# "Large fish" is the share of tunas and herrings for which "large" is predicted correctly. A small
# tuna looks like a large herring; only a network that has the category as input can tell them
# apart. As a target the category brings no gain here.

figure, axes = plt.subplot_mosaic(
    [list("abcdef"), ["scores"] * 6], figsize=(8, 5), height_ratios=[1, 2]
)
for letter, category in zip("abcdef", test.category_names, strict=True):
    row = int(np.argmax(test.category == category))
    words = [name for name in test.target if test.target.loc[row, name]]
    axes[letter].imshow(Image.open(test.data.loc[row, "path"]))
    axes[letter].set_title(f"{category}:\n{', '.join(words) or 'none'}", fontsize=8)
    axes[letter].axis("off")
f1.plot.bar(ax=axes["scores"], rot=0, color=["lightgray", "C0", "C1", "C2"], width=0.75)
axes["scores"].set(ylabel="F1 on new images", ylim=(0, 1.3), yticks=[0, 0.5, 1])
axes["scores"].legend(title="category_prior", ncols=4, loc="upper center", fontsize=8)
figure.tight_layout()
plt.show()

folder.cleanup()
