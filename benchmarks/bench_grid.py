"""Compare heads, weights, losses and priors in one grid search.

    python benchmarks/bench_grid.py             # images of make_category_images
    python benchmarks/bench_grid.py FOLDER      # photos: labels.csv and images/

One `GridSearchCV` over {sigmoid, softmax, joint, condition} x {no weight, "balanced"} x {"bce",
"focal", "asymmetric"} has 24 candidates of one estimator. X is a DataFrame of paths and
categories, y a table with missing labels, and the folds are multilabel stratified. The script
prints the candidates sorted by their out-of-fold macro F1, with the mean average precision and
the seconds of a fit, and the scores of the best candidate and of a plain network on new images.
For photos the category is the master category. The attributes are gender, season and baseColour
(with many levels) and binary ones derived from them: "for men", "summer", "dark", "casual".
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from bench_category_prior import small
from bench_learning import read_table
from sklearn.model_selection import GridSearchCV

from skattr import AttributeClassifier
from skattr.datasets import make_category_images
from skattr.metrics import get_scorer
from skattr.model_selection import MultilabelStratifiedKFold, multilabel_train_test_split

MODELS = [
    {"branches__binary": ["sigmoid"], "category_prior": [None]},
    {"branches__binary": ["softmax"], "category_prior": [None]},
    {"branches__binary": ["sigmoid"], "category_prior": ["joint"]},
    {"branches__binary": ["sigmoid"], "category_prior": ["condition"]},
]
REST = {"pos_weight": [None, "balanced"], "loss": ["bce", "focal", "asymmetric"]}
METRICS = ["macro_f1", "mean_average_precision"]
DARK = ["Black", "Brown", "Navy Blue", "Charcoal", "Coffee Brown", "Maroon", "Burgundy"]


def generated(folder, n, missing):
    """Return a table of paths and categories, and one of attributes, some missing."""
    bunch = make_category_images(n, missing=missing, folder=folder, random_state=0)
    return bunch.data, bunch.target


def photos(folder, n):
    """Return a table of paths and categories of photos, and one of attributes of all kinds."""
    table = read_table(folder).sample(n, random_state=0).reset_index(drop=True)
    X = pd.DataFrame(
        {
            "path": [str(folder / "images" / name) for name in table["image"]],
            "category": table["masterCategory"],
        }
    )
    y = table[["gender", "season", "baseColour"]].copy()
    for name, (column, levels) in {
        "for men": ("gender", ["Men"]),
        "summer": ("season", ["Summer"]),
        "dark": ("baseColour", DARK),
        "casual": ("usage", ["Casual"]),
    }.items():
        known = table[column].notna()
        y[name] = table[column].isin(levels).astype("boolean").where(known)
    return X, y


def classes_of(y):
    """Return all levels of the attributes that are not binary, as a fold may lack one."""
    return {
        name: ("categorical", sorted(y[name].dropna().unique()))
        for name in y
        if not pd.api.types.is_bool_dtype(y[name])
    }


def main():
    """Run the search and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=1500, help="of which a quarter is for the test")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--missing", type=float, default=0.1, help="of generated labels")
    parser.add_argument("--backbone", default="small", help="'small' or a torchvision model")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        is_own = options.folder is None
        if is_own:
            X, y = generated(own, options.rows, options.missing)
        else:
            X, y = photos(options.folder, options.rows)
        result = search(X, y, (32, 32) if is_own else (64, 48), options)
    name = "grid" if is_own else "grid_photos"
    out = options.out or Path(__file__).parent / f"results/{name}.json"
    out.parent.mkdir(exist_ok=True)
    shown = {k: getattr(options, k) for k in ("rows", "epochs", "folds", "backbone")}
    out.write_text(json.dumps({**shown, **result}, indent=1) + "\n")


def search(X, y, image_size, options):
    """Print and return the candidates and the test scores of the best and a plain one."""
    X, X_test, y, y_test = multilabel_train_test_split(X, y, random_state=0)
    network = AttributeClassifier(
        small if options.backbone == "small" else options.backbone,
        attributes=classes_of(y),
        image_size=image_size,
        lr=3e-3 if options.backbone == "small" else "auto",
        max_epochs=options.epochs,
        random_state=0,
    )
    grid = GridSearchCV(
        network,
        [model | REST for model in MODELS],
        scoring={name: get_scorer(name) for name in METRICS},
        refit="macro_f1",
        cv=MultilabelStratifiedKFold(options.folds),
        error_score="raise",
    )
    start = time.perf_counter()
    grid.fit(X, y)
    seconds = time.perf_counter() - start
    table = candidates(grid)
    print(f"{len(table)} candidates, {options.folds} folds, {len(X):,} rows: {seconds:.0f} s")
    print(table.to_string(index=False, float_format="{:.3f}".format))
    plain = network.fit(X, y)
    tested = {
        name: {metric: float(get_scorer(metric)(model, X_test, y_test)) for metric in METRICS}
        for name, model in (("plain", plain), ("best", grid.best_estimator_))
    }
    print(pd.DataFrame(tested).T.to_string(float_format="{:.3f}".format))
    rows = table.to_dict("records")
    return {"seconds": seconds, "candidates": rows, "best": grid.best_params_, "test": tested}


def candidates(grid):
    """Return the candidates of a fitted search, the best first."""
    found = grid.cv_results_
    table = pd.DataFrame(
        {
            "model": [
                params["category_prior"] or params["branches__binary"] for params in found["params"]
            ],
            "pos_weight": [params["pos_weight"] or "-" for params in found["params"]],
            "loss": [params["loss"] for params in found["params"]],
            **{metric: found[f"mean_test_{metric}"] for metric in METRICS},
            "spread": found["std_test_macro_f1"],
            "fit s": np.asarray(found["mean_fit_time"]),
        }
    )
    return table.sort_values("macro_f1", ascending=False)


if __name__ == "__main__":
    main()
