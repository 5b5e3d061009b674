"""Compare accuracy and time of the estimator with a hand-written loop.

Run on a folder with ``labels.csv`` (a column ``image`` and one per attribute; an empty cell is a
missing label) and ``images/``::

    python benchmarks/bench_learning.py FOLDER

Three methods give the same table of test accuracies in one run: a classical floor (extremely
randomized trees on small pixels, color histograms and gradients), a PyTorch loop written by hand,
and `AttributeClassifier`. Loop and estimator train the same network with the same recipe and read
the images from files in every epoch. With ``--in-memory`` the loop decodes them once, beforehand.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torchvision
from classical_floor import classical_floor
from PIL import Image
from torch.nn import functional

from skattr import AttributeClassifier

TARGETS = ["gender", "masterCategory", "subCategory", "baseColour", "season", "usage"]
SIZE = (80, 60)
EPOCHS, BATCH, LR, DECAY = 12, 64, 1e-3, 0.01
Scores = dict[str, float]


def read_table(folder: Path) -> pd.DataFrame:
    """Read the labels as strings; only an empty cell is missing, "NA" is a level."""
    table = pd.read_csv(folder / "labels.csv", keep_default_na=False, dtype=str)
    return table.replace("", None)


def accuracies(truth: pd.DataFrame, predicted: pd.DataFrame) -> Scores:
    """Return the accuracy over the known test labels of each target."""
    return {
        name: float((predicted[name] == truth[name])[truth[name].notna()].mean())
        for name in TARGETS
    }


def estimator(paths: list[str], y: pd.DataFrame, test_paths: list[str], seed: int) -> pd.DataFrame:
    """Fit `AttributeClassifier` with its defaults for small images, and predict."""
    classifier = AttributeClassifier(image_size=SIZE, augment="flip", random_state=seed)
    classifier.fit(paths, y)
    return pd.DataFrame(classifier.predict(test_paths), columns=TARGETS)


def hand_loop(
    paths: list[str], y: pd.DataFrame, test_paths: list[str], seed: int, in_memory: bool
) -> pd.DataFrame:
    """Train ResNet-18 and one linear map per attribute in a plain PyTorch loop, and predict."""
    torch.manual_seed(seed)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def decoded(names: list[str]) -> torch.Tensor:
        size = SIZE[::-1]
        images = [Image.open(name).convert("RGB").resize(size, 2) for name in names]
        return torch.from_numpy(np.stack([np.asarray(p) for p in images])).permute(0, 3, 1, 2)

    levels = [sorted(y[name].dropna().unique()) for name in TARGETS]
    codes = torch.tensor(
        np.stack(
            [
                pd.Categorical(y[name], categories=level).codes
                for name, level in zip(TARGETS, levels, strict=True)
            ],
            axis=1,
        ).astype(np.int64)
    )
    pixels = decoded(paths) if in_memory else None
    backbone = torchvision.models.resnet18()
    backbone.fc = torch.nn.Identity()
    heads = torch.nn.ModuleList(torch.nn.Linear(512, len(level)) for level in levels)
    parameters = [*backbone.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=DECAY)
    steps = EPOCHS * -(-len(paths) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    for _ in range(EPOCHS):
        backbone.train()
        for rows in torch.randperm(len(paths)).split(BATCH):
            picked = decoded([paths[i] for i in rows]) if pixels is None else pixels[rows]
            batch = (picked.float() / 255 - mean) / std
            mirrored = torch.rand(len(rows)) < 0.5
            batch[mirrored] = batch[mirrored].flip(3)
            features = backbone(batch)
            loss = torch.zeros(())
            for j, head in enumerate(heads):
                loss = loss + functional.cross_entropy(
                    head(features), codes[rows, j], ignore_index=-1
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    backbone.eval()
    predicted: list[list[Any]] = [[] for _ in TARGETS]
    with torch.inference_mode():
        for part in decoded(test_paths).split(BATCH):
            features = backbone((part.float() / 255 - mean) / std)
            for j, head in enumerate(heads):
                predicted[j] += [levels[j][code] for code in head(features).argmax(1)]
    return pd.DataFrame(dict(zip(TARGETS, predicted, strict=True)))


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and its seconds."""
    start = time.perf_counter()
    return run(), time.perf_counter() - start


def main() -> None:
    """Run the three methods and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the training")
    parser.add_argument("--only", choices=["floor", "loop", "estimator"], nargs="*")
    parser.add_argument("--in-memory", action="store_true", help="let the loop decode once")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/learning.json"))
    options = parser.parse_args()
    table = read_table(options.folder)
    paths = [str(options.folder / "images" / name) for name in table["image"]]
    order = np.random.default_rng(options.seed).permutation(len(table))
    train, test = order[: len(order) * 3 // 4], order[len(order) * 3 // 4 :]
    y, truth = table.loc[train, TARGETS], table.loc[test, TARGETS].reset_index(drop=True)
    data = ([paths[i] for i in train], y, [paths[i] for i in test], options.seed)
    ways: dict[str, Callable[[], Scores]] = {
        "floor": lambda: classical_floor(paths, table[TARGETS], train, test, options.seed),
        "loop": lambda: accuracies(truth, hand_loop(*data, options.in_memory)),
        "estimator": lambda: accuracies(truth, estimator(*data)),
    }
    result: dict[str, Any] = {}
    print(f"{'':10}" + "".join(f"{name:>16}" for name in [*TARGETS, "mean", "seconds"]))
    for name in options.only or ways:
        scores, seconds = timed(ways[name])
        mean = float(np.mean([scores[target] for target in TARGETS]))
        result[name] = {**scores, "mean": mean, "seconds": seconds}
        cells = "".join(f"{scores[target]:16.4f}" for target in TARGETS)
        print(f"{name:10}{cells}{mean:16.4f}{seconds:16.0f}", flush=True)
    if {"loop", "estimator"} <= result.keys():
        ratio = result["estimator"]["seconds"] / result["loop"]["seconds"]
        result["time_ratio"] = ratio
        print(f"the estimator's time over the loop's: {ratio:.3f}")
    result["machine"] = {
        "cpu": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__,
        "threads": torch.get_num_threads(), "rows": [len(train), len(test)],
    }  # fmt: skip
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
