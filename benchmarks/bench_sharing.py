"""Compare one network for all attributes with one network for each.

    python benchmarks/bench_sharing.py            # images of make_attribute_images
    python benchmarks/bench_sharing.py FOLDER     # photos: labels.csv and images/

Hard parameter sharing (Caruana 1997): one `AttributeClassifier` over L binary attributes is
compared with `MultiOutputClassifier(AttributeClassifier(...))`, which fits L networks of the same
kind with the same recipe, and with the shared network trained longer. The script prints means
over seeds: the macro F1 at threshold .5, mean average precision and accuracy on new images, the
seconds to fit and to predict, and the number of weights. The attributes are the levels of the
categorical and ordinal ones, one against the rest. Generated images have 17 of them. For photos
they are the levels of gender, category, season and usage with a prevalence of .1 to .9; rows with
missing labels are left out, as `MultiOutputClassifier` does not accept them.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bench_category_prior import small
from bench_learning import read_table
from PIL import Image
from sklearn.multioutput import MultiOutputClassifier

from skattr import AttributeClassifier
from skattr.datasets import make_attribute_images
from skattr.metrics import accuracy_score, average_precision_score, f1_score

PHOTO_TARGETS = ["gender", "masterCategory", "season", "usage"]
PHOTO_SIZE = (40, 30)
LONGER = 4


def one_against_the_rest(table):
    """Return a column of 0 and 1 for each level of each column of a table."""
    columns = {
        f"{name}={level}": (table[name] == level).astype(int)
        for name in table
        for level in sorted(table[name].unique())
        if table[name].nunique() > 2 or level == sorted(table[name].unique())[-1]
    }
    return pd.DataFrame(columns)


def generated(n_train, n_test, seed):
    """Return images and labels for training and testing."""
    bunch = make_attribute_images(n_train + n_test, random_state=seed)
    y = one_against_the_rest(bunch.target)
    return bunch.data[:n_train], y[:n_train], bunch.data[n_train:], y[n_train:]


def photos(folder, n_train, n_test, seed):
    """Return photos and labels for training and testing."""
    table = read_table(folder).dropna(subset=PHOTO_TARGETS)
    table = table.sample(n_train + n_test, random_state=seed)
    y = one_against_the_rest(table[PHOTO_TARGETS])
    y = y.loc[:, y.mean().between(0.1, 0.9)]
    size = PHOTO_SIZE[::-1]
    X = np.stack(
        [
            np.asarray(Image.open(folder / "images" / name).convert("RGB").resize(size, 2))
            for name in table["image"]
        ]
    )
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def n_weights(model):
    """Return the number of weights of all networks of a fitted model."""
    networks = getattr(model, "estimators_", [model])
    return sum(p.numel() for network in networks for p in network.net_.module_.parameters())


def measured(model, X, y, X_test, y_test):
    """Fit and predict; return quality and cost."""
    start = time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    proba = np.stack([p[:, 1] for p in model.predict_proba(X_test)], axis=1)
    predicted = time.perf_counter()
    labels = (proba >= 0.5).astype(int)
    return {
        "macro F1": f1_score(y_test, labels),
        "mAP": average_precision_score(y_test, proba),
        "accuracy": accuracy_score(y_test, labels),
        "fit s": fitted - start,
        "predict s": predicted - fitted,
        "weights": n_weights(model),
    }


def one_seed(options, seed):
    """Return {method: quality and cost} for one random set of rows."""
    rows = options.rows, options.test_rows, seed
    data = generated(*rows) if options.folder is None else photos(options.folder, *rows)
    network = AttributeClassifier(
        small,
        image_size=data[0].shape[1:3],
        augment="flip",
        lr=3e-3,
        max_epochs=options.epochs,
        random_state=seed,
    )
    result = {
        "shared": measured(network, *data),
        "one each": measured(MultiOutputClassifier(network), *data),
    }
    network.set_params(max_epochs=LONGER * options.epochs)
    result[f"shared, {LONGER} times the epochs"] = measured(network, *data)
    return result, list(data[1])


def main():
    """Run all methods and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=2000, help="to train on")
    parser.add_argument("--test-rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    runs, names = zip(*(one_seed(options, seed) for seed in range(options.seeds)), strict=True)
    table = pd.DataFrame(
        {way: pd.DataFrame([run[way] for run in runs]).mean() for way in runs[0]}
    ).T
    print(f"{len(names[0])} attributes, {options.rows:,} images, {options.seeds} seeds")
    print(table.to_string(formatters={"weights": "{:,.0f}".format}, float_format="{:.3f}".format))
    for column in ("fit s", "predict s", "weights"):
        ratio = table.loc["one each", column] / table.loc["shared", column]
        print(f"{column}: one network each takes {ratio:.1f} times as much")
    name = "sharing" if options.folder is None else "sharing_photos"
    out = options.out or Path(__file__).parent / f"results/{name}.json"
    out.parent.mkdir(exist_ok=True)
    machine = {
        "cpu": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    shown = {k: getattr(options, k) for k in ("rows", "test_rows", "epochs", "seeds")}
    rows = table.to_dict("index")
    out.write_text(
        json.dumps(
            {**shown, "attributes": names[0], "rows_of_table": rows, "machine": machine}, indent=1
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
