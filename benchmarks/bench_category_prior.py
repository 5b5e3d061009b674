"""Compare the uses of the object category.

    python benchmarks/bench_category_prior.py

In the images of `make_category_images` one of two objects has the attributes, in a place of some
color, and "large" and "bright" depend on its category. Networks with the same backbone and recipe
differ only in `category_prior`: None, "joint", "auxiliary" and "condition". "condition" is also
run with a fifth of the training categories missing, tested with and without categories. The
script prints means over seeds: the F1 of each attribute on new images at threshold .5 and their
mean, its difference from None (with its standard error over seeds), mean average precision, log
loss, and the seconds of a fit. There are four settings: a small network after a few epochs and
after many, biased training images (the place indicates the category) with unbiased test images,
and a ResNet-18.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from skattr import AttributeClassifier
from skattr.datasets import make_category_images
from skattr.metrics import average_precision_score, f1_score, log_loss

UNTOLD = 0.2
# name: backbone, learning rate, epochs, bias of the training images and of the test images
SETTINGS = {
    "small network, 12 epochs": ("small", 3e-3, 12, 0.5, 0.5),
    "small network, 30 epochs": ("small", 3e-3, 30, 0.5, 0.5),
    "small network, 12 epochs, biased": ("small", 3e-3, 12, 0.9, 0.0),
    "ResNet-18, 12 epochs": ("resnet18", 1e-3, 12, 0.5, 0.5),
}


def small():
    """Return a network of five convolutions with 16 to 64 channels."""
    layers = []
    for inputs, outputs, pooled in [(3, 16, 0), (16, 16, 1), (16, 32, 1), (32, 64, 1), (64, 64, 0)]:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] * pooled
    return nn.Sequential(*layers)


def scores(classifier, images, X):
    """Return F1 per attribute, their mean, mean average precision and log loss on images."""
    proba = classifier.predict_proba(X)
    f1 = f1_score(images.target, classifier.predict(X), average=None)
    return {
        **dict(zip(images.target, f1.tolist(), strict=True)),
        "macro F1": float(f1.mean()),
        "mAP": average_precision_score(images.target, proba),
        "log loss": log_loss(images.target, proba),
    }


def one_seed(setting, n_train, n_test, seed):
    """Return {use of the category: scores} for one random set of images."""
    backbone, lr, epochs, bias, test_bias = setting
    result = {}
    with TemporaryDirectory() as folder:
        train, test = (
            make_category_images(n, bias=b, folder=Path(folder, name), random_state=2 * seed + k)
            for k, (name, n, b) in enumerate(
                [("train", n_train, bias), ("test", n_test, test_bias)]
            )
        )
        classifier = AttributeClassifier(
            small if backbone == "small" else backbone,
            image_size=32,
            augment="flip",
            lr=lr,
            max_epochs=epochs,
            random_state=seed,
        )
        for prior in (None, "joint", "auxiliary", "condition"):
            start = time.perf_counter()
            classifier.set_params(category_prior=prior).fit(train.data, train.target)
            seconds = time.perf_counter() - start
            result[str(prior)] = {**scores(classifier, test, test.data), "seconds": seconds}
        untold = np.random.default_rng(seed).random(n_train) < UNTOLD
        start = time.perf_counter()
        classifier.fit(train.data.assign(category=train.category.mask(untold, None)), train.target)
        seconds = time.perf_counter() - start
        nothing = test.data.assign(category=None)
        for name, X in (("a fifth untold", test.data), ("untold in the test", nothing)):
            result[name] = {**scores(classifier, test, X), "seconds": seconds}
    return result


def compare(name, options):
    """Print and return the means over seeds of one setting."""
    runs = [
        one_seed(SETTINGS[name], options.rows, options.test_rows, seed)
        for seed in range(options.seeds)
    ]
    columns = list(runs[0]["None"])
    print(f"\n{name}, {options.rows:,} images, {options.seeds} seeds")
    print(f"{'':18s} {'above None':>15s}" + "".join(f"{column:>10s}" for column in columns))
    rows = {}
    for prior in runs[0]:
        values = np.array([list(run[prior].values()) for run in runs])
        lifts = np.array([run[prior]["macro F1"] - run["None"]["macro F1"] for run in runs])
        error = lifts.std(ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else float("nan")
        means = dict(zip(columns, values.mean(axis=0).tolist(), strict=True))
        rows[prior] = {**means, "lift": float(lifts.mean()), "lift_standard_error": float(error)}
        cells = "".join(f"{means[column]:10.3f}" for column in columns)
        print(f"{prior:18s} {lifts.mean():+8.3f} ±{error:5.3f}{cells}", flush=True)
    return {"name": name, "setting": SETTINGS[name], "rows": rows}


def main():
    """Run all settings and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1500, help="training images")
    parser.add_argument("--test-rows", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=SETTINGS, nargs="*", help="of the settings")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/category_prior.json"
    )
    options = parser.parse_args()
    results = [compare(name, options) for name in options.only or SETTINGS]
    machine = {
        "cpu": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    options.out.parent.mkdir(exist_ok=True)
    shown = {name: vars(options)[name] for name in ("rows", "test_rows", "seeds")}
    options.out.write_text(
        json.dumps({**shown, "results": results, "machine": machine}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
