"""Compare the multilabel splitters with the package iterative-stratification.

Run, after ``pip install iterative-stratification``::

    python benchmarks/bench_splitters.py

Both split the same tables of 0 and 1 into five folds, side by side in one run. The script prints
the worst deviation over folds and labels of a label's share in a fold from its share of all rows
(in thousandths), the same divided by the label's share (labels of five rows or more), how often a
fold lacks such a label, the difference between the largest and the smallest fold, and the seconds
(medians of interleaved runs: five for 60,000 rows, three below). Without the package only our own
figures are printed.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator

from skattr.model_selection import MultilabelStratifiedKFold

try:
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold as PackageKFold
except ImportError:
    PackageKFold = None

KINDS = ["independent", "correlated", "rare", "dense"]
K = 5
ScoreTable = NDArray[np.int8]


def make_table(kind: str, n: int, n_labels: int, seed: int) -> ScoreTable:
    """Draw labels of log-uniform prevalence 0.1 % to 40 %, or up to 1 %, or dense ones."""
    rng = np.random.default_rng(seed)
    rates = np.exp(rng.uniform(np.log(0.001), np.log(0.4), n_labels))
    if kind == "rare":
        rates = np.exp(rng.uniform(np.log(0.001), np.log(0.01), n_labels))
    if kind == "dense":
        rates = rng.uniform(0.2, 0.8, n_labels)
    noise = rng.standard_normal((n, n_labels))
    if kind == "correlated":
        noise += rng.standard_normal((n, 5)) @ rng.standard_normal((5, n_labels))
    ranks = noise.argsort(axis=0).argsort(axis=0)
    return (ranks >= n - np.maximum(1, rng.binomial(n, rates))).astype(np.int8)


def timed_folds(splitter: BaseCrossValidator, y: ScoreTable) -> tuple[NDArray[np.intp], float]:
    """Return the test fold of each row, and the seconds it took."""
    folds = np.empty(len(y), dtype=np.intp)
    start = time.perf_counter()
    for fold, (_, test) in enumerate(splitter.split(y, y)):
        folds[test] = fold
    return folds, time.perf_counter() - start


def quality(y: ScoreTable, folds: NDArray[np.intp]) -> dict[str, float]:
    """Return the worst deviations, the number of lacking labels and the spread of fold sizes."""
    share = y.mean(axis=0)
    shares = np.array([y[folds == fold].mean(axis=0) for fold in range(K)])
    enough = y.sum(axis=0) >= K
    off = np.abs(shares - share)
    return {
        "deviation": float(off.max()),
        "relative": float((off / share)[:, enough].max(initial=0)),
        "lacking": int((shares[:, enough] == 0).sum()),
        "uneven": int(np.ptp(np.bincount(folds, minlength=K))),
    }


def compare(y: ScoreTable, runs: int) -> dict[str, Any]:
    """Run both alternately on one table; the quality is that of the first run."""
    kinds = {"ours": MultilabelStratifiedKFold, "package": PackageKFold}
    result: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {name: [] for name, kind in kinds.items() if kind}
    for run in range(runs):
        for name in seconds:
            folds, took = timed_folds(kinds[name](K, shuffle=True, random_state=run), y)
            seconds[name].append(took)
            if run == 0:
                result[name] = quality(y, folds)
    for name, all_seconds in seconds.items():
        result[name]["seconds"] = float(np.median(all_seconds))
    return result


def cells(result: dict[str, Any], key: str, scale: float, form: str) -> str:
    """Format the figures of both splitters, or of ours alone."""
    shown = (
        format(result[name][key] * scale, form) if name in result else "-"
        for name in ("ours", "package")
    )
    return "".join(f"{text:>10}" for text in shown)


def main() -> None:
    """Run all cases and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the tables")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/splitters.json"))
    options = parser.parse_args()
    if PackageKFold is None:
        print("iterative-stratification is NOT INSTALLED: nothing to compare with.")
        print("pip install iterative-stratification\n")
    heads = ["deviation/1000", "relative", "lacking", "uneven", "seconds"]
    print(f"{'':24}" + "".join(f"{head:>20}" for head in heads) + f"{'time ratio':>12}")
    print(f"{'data':12}{'n':>7}{'L':>5}" + f"{'ours':>10}{'package':>10}" * len(heads))
    cases = [(n, n_labels) for n in (500, 5000) for n_labels in (5, 40, 100)] + [(60000, 100)]
    results = []
    for (n, n_labels), kind in ((case, kind) for case in cases for kind in KINDS):
        y = make_table(kind, n, n_labels, options.seed)
        result = compare(y, runs=5 if n == 60000 else 3)
        line = f"{kind:12}{n:7}{n_labels:5}" + cells(result, "deviation", 1000, ".3f")
        line += cells(result, "relative", 1, ".4f") + cells(result, "lacking", 1, "d")
        line += cells(result, "uneven", 1, "d") + cells(result, "seconds", 1, ".4f")
        if "package" in result:
            result["time_ratio"] = result["ours"]["seconds"] / result["package"]["seconds"]
            line += f"{result['time_ratio']:12.3f}"
        print(line, flush=True)
        results.append({"data": kind, "n": n, "n_labels": n_labels, **result})
    machine = {
        "cpu": platform.machine(), "cores": os.cpu_count(), "numpy": np.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS"), "package": PackageKFold is not None,
    }  # fmt: skip
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"cases": results, "machine": machine}, indent=2))


if __name__ == "__main__":
    main()
