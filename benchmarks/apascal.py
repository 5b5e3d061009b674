"""Run the steps from aPascal's annotation files and images to thresholds and a report.

    python benchmarks/apascal.py FOLDER

FOLDER contains the annotation files of aPascal/aYahoo and ``JPEGImages/``; images may be missing.
The script prints the counts of the three annotation files. For the crops whose image exists, a
frozen network embeds each crop once, a branch per attribute is trained on the crops of some
photographs, thresholds are tuned on out-of-fold probabilities, and the crops of the other
photographs are evaluated. With a few dozen photographs and random weights the figures only show
that the steps work together. ``--weights`` takes a state dict or the name of pretrained weights.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline

from skattr import AttributeClassifier, ImageEmbedder, TunedThresholdMultiOutputCV
from skattr.datasets import load_apascal
from skattr.exceptions import SkattrWarning
from skattr.metrics import attribute_report


def counts(folder):
    """Print for each file the rows, all-zero rows and attributes without a positive."""
    for subset in ("train", "test", "ayahoo"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = load_apascal(folder, subset=subset)
        positive = data.target.astype(bool).to_numpy()
        print(
            f"{subset:8s}{len(positive):7,d} rows, {int((~positive.any(axis=1)).sum())} all zero, "
            f"{int((~positive.any(axis=0)).sum())} attributes without a positive"
        )
        for warning in caught:
            print(f"         {warning.category.__name__}: {warning.message}")


def end_to_end(folder, weights):
    """Load, embed, fit, tune and report."""
    data = load_apascal(folder, subset="train", existing_only=True)
    groups = data.data["group"].to_numpy()
    train, test = next(
        GroupShuffleSplit(1, test_size=0.3, random_state=0).split(groups, groups=groups)
    )
    X, y = data.data, data.target
    seen = y.iloc[train].nunique().to_numpy() == 2
    y = y.loc[:, seen]
    print(f"\n{len(X)} crops of {len(np.unique(groups))} photographs, {y.shape[1]} attributes")
    with tempfile.TemporaryDirectory() as cache:
        model = make_pipeline(
            ImageEmbedder("resnet18", weights=weights, cache=cache, random_state=0),
            TunedThresholdMultiOutputCV(AttributeClassifier(random_state=0), cv=5),
        )
        start = time.perf_counter()
        model.fit(X.iloc[train], y.iloc[train])
        print(f"fit and tuned in {time.perf_counter() - start:.1f} s")
        report = attribute_report(
            y.iloc[test],
            None,
            model.predict_proba(X.iloc[test]),
            thresholds=model[-1].best_threshold_,
        )
    print(report)


def main():
    """Print the counts and the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights")
    options = parser.parse_args()
    counts(options.folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkattrWarning)  # rare attributes that cannot be tuned
        end_to_end(options.folder, options.weights)


if __name__ == "__main__":
    main()
