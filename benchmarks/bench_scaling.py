"""Measure how time and memory of fit and predict grow with rows, attributes and image size.

    python benchmarks/bench_scaling.py            # --only rows, --profile, --quick

The question is whether anything grows faster than the data. `fit` (one epoch) and `predict` are
measured against n (1,000 to 100,000 paths, all of them links to one small JPEG), against the
number of attributes L (2 to 2,000; binary ones in an array and mixed ones of four kinds in a
DataFrame; with 64 features per row and with images of 16 pixels), and against the side of images
in memory (32 to 224). The network has two small convolutions, so that other costs are visible.

Each figure is measured in a separate process that has only imported the package: the median
seconds of a few calls, and the peak resident memory minus that of the smallest size. The time
above a constant is modeled as a * size ** slope, and a slope of 1.1 or less counts as linear. The
constant is that of the straight line through all sizes, and never negative. Predicting 100,000
files must not take 300 MB more than predicting 1,000.
"""

import cProfile
import io
import multiprocessing
import os
import pstats
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measure import Limits, parser, table, write
from PIL import Image

from skattr import AttributeClassifier

STRAIGHT = 1.1  # largest slope that counts as linear
MORE_MEMORY = 300  # MB that the most files may need beyond the fewest
SECONDS = 3.0  # after which a call is not repeated
N_FEATURES = 64
SIZES = {
    "rows: files": (1_000, 3_000, 10_000, 30_000, 100_000),
    "binary: features": (2, 20, 200, 2_000),
    "mixed: features": (2, 20, 200, 2_000),
    "binary: images": (2, 20, 200, 2_000),
    "mixed: images": (2, 20, 200, 2_000),
    "pixels": tuple(side**2 for side in (32, 64, 128, 224)),
}
QUICK = {
    "rows: files": (100, 200, 400),
    "binary: features": (2, 20, 100),
    "mixed: features": (2, 20, 100),
    "binary: images": (2, 20, 100),
    "mixed: images": (2, 20, 100),
    "pixels": (16**2, 24**2, 32**2),
}


def small():
    """Return a network of two convolutions."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
    )


def link_images(folder, n):
    """Write one JPEG of 32 pixels, and n links to it."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Path(folder) / "image.jpg"
    Image.fromarray(pixels).resize((32, 32)).save(image)
    for row in range(n):
        os.symlink(image, Path(folder) / f"{row:06d}.jpg")


def binary_labels(n, n_attributes, rng):
    """Return an array of 0 and 1."""
    return rng.integers(0, 2, (n, n_attributes), dtype=np.int8)


def mixed_labels(n, n_attributes, rng):
    """Return a table of bools, strings, ordered categories and numbers, a tenth missing."""
    kinds = (
        lambda: pd.array(rng.integers(0, 2, n).astype(bool), dtype="boolean"),
        lambda: rng.choice(["red", "green", "blue", "black", "white"], n).astype(object),
        lambda: pd.Categorical.from_codes(rng.integers(0, 4, n), list("abcd"), ordered=True),
        lambda: pd.array(rng.integers(1, 8, n), dtype="Int64"),
    )
    columns = {f"a{j}": pd.Series(kinds[j % 4]()) for j in range(n_attributes)}
    return pd.concat(columns, axis=1).mask(rng.random((n, n_attributes)) < 0.1)


def make_case(case, size, folder):
    """Return X, y and a classifier for one size of a case."""
    rng = np.random.default_rng(0)
    kind, _, what = case.partition(": ")
    images = {"backbone": small, "max_epochs": 1, "random_state": 0}
    if kind == "rows":
        X = pd.DataFrame({"path": [f"{folder}/{row:06d}.jpg" for row in range(size)]})
        return X, mixed_labels(size, 4, rng), AttributeClassifier(image_size=32, **images)
    if kind == "pixels":
        side = round(size**0.5)
        X = rng.integers(0, 256, (512, side, side, 3), dtype=np.uint8)
        return X, binary_labels(512, 4, rng), AttributeClassifier(image_size=side, **images)
    n = 2_000 if what == "features" else 512
    y = (binary_labels if kind == "binary" else mixed_labels)(n, size, rng)
    if what == "features":
        X = rng.standard_normal((n, N_FEATURES)).astype(np.float32)
        return X, y, AttributeClassifier(max_epochs=1, random_state=0)
    X = rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
    return X, y, AttributeClassifier(image_size=16, **images)


def work_of(case, size, action, folder):
    """Return the operations and the bytes that one call needs at least."""
    kind, _, what = case.partition(": ")
    n_attributes = 4 if kind in ("rows", "pixels") else size
    n_logits = n_attributes if kind in ("pixels", "binary") else n_attributes * 16 / 4
    passes = 3 if action == "fit" else 1
    if what == "features":
        return 2 * passes * 2_000 * N_FEATURES * n_logits, 2_000 * (4 * N_FEATURES + n_attributes)
    side = {"rows": 32, "pixels": round(size**0.5)}.get(kind, 16)
    n = size if kind == "rows" else 512
    macs = 27 * 8 * (side / 2) ** 2 + 72 * 16 * (side / 4) ** 2 + 16 * n_logits
    n_bytes = 3 * side**2
    if kind == "rows":
        n_bytes += (Path(folder) / "image.jpg").stat().st_size
    return 2 * passes * n * macs, n * (n_bytes + n_attributes)


def measure_one(case, size, action, folder, runs, profiled):
    """Measure one call in a separate process."""
    X, y, classifier = make_case(case, size, folder)
    if action == "fit":
        call = lambda: classifier.fit(X, y)  # noqa: E731
    else:
        few = min(len(X), 256)
        classifier.fit(X[:few], y[:few])
        call = lambda: classifier.predict(X)  # noqa: E731
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    seconds = []
    while not seconds or (len(seconds) < runs + 1 and sum(seconds) < SECONDS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    text = profile_of(call) if profiled else ""
    # The first call may include a warm-up; if it was long, it is the only one.
    timed = float(np.median(seconds[1:] or seconds))
    return {"seconds": timed, "peak": peak, "above_data": peak - resident, "profile": text}


def profile_of(call, n_lines=20):
    """Return a profile of a call."""
    profile = cProfile.Profile()
    profile.runcall(call)
    stream = io.StringIO()
    statistics = pstats.Stats(profile, stream=stream).sort_stats("tottime")
    statistics.print_stats(n_lines)
    return stream.getvalue().replace(str(Path(__file__).parents[1]) + "/", "")


def slope_of(sizes, seconds):
    """Return constant and slope of the time above it.

    Only sizes at which the time is well above the constant tell anything of the slope; the
    largest two always count.
    """
    sizes, seconds = np.asarray(sizes, dtype=float), np.asarray(seconds)
    _, constant = np.polyfit(sizes, seconds, 1, w=1 / seconds)
    constant = float(np.clip(constant, 0, 0.9 * seconds.min()))
    telling = seconds > 1.5 * constant
    telling[-2:] = True
    logs = np.log(sizes[telling]), np.log(seconds[telling] - constant)
    return constant, float(np.polyfit(*logs, 1)[0])


def measure_all(cases, folder, options):
    """Return a row per case, size and action."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["skattr", "sklearn.model_selection", "torchvision"])
    rows = []
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for case, sizes in cases.items():
            for action in ("fit", "predict"):
                for size in sizes:
                    profiled = options.profile and size == sizes[-1]
                    task = (case, size, action, folder, options.runs, profiled)
                    found = pool.submit(measure_one, *task).result()
                    print(found.pop("profile"), end="", flush=True)
                    rows.append({"case": case, "action": action, "size": size, **found})
    return rows


def summary(rows, folder, limits):
    """Return a row per case and action: slope, memory and limit."""
    result = []
    for case, action in dict.fromkeys((row["case"], row["action"]) for row in rows):
        some = [row for row in rows if (row["case"], row["action"]) == (case, action)]
        sizes = [row["size"] for row in some]
        seconds = [row["seconds"] for row in some]
        constant, slope = slope_of(sizes, seconds)
        last = some[-1]
        operations, n_bytes = work_of(case, sizes[-1], action, folder)
        least = limits.seconds(operations, n_bytes)
        result.append(
            {
                "case": case,
                "action": action,
                "sizes": f"{sizes[0]}-{sizes[-1]}",
                "first s": seconds[0],
                "last s": seconds[-1],
                "constant s": constant,
                "slope": slope,
                "straight": "yes" if slope <= STRAIGHT else "NO",
                "more MB": (last["peak"] - some[0]["peak"]) / 1e6,
                "above data MB": last["above_data"] / 1e6,
                "Gflop": operations / 1e9,
                "MB": n_bytes / 1e6,
                "limit s": least,
                "ratio": last["seconds"] / least,
            }
        )
    return result


def main():
    """Measure all cases and write the figures."""
    options = parser(__doc__)
    options.add_argument("--only", help="cases whose names contain this")
    options.add_argument("--profile", action="store_true", help="of the largest size of each")
    options.add_argument("--quick", action="store_true", help="see whether it runs")
    options = options.parse_args()
    cases = {
        case: sizes
        for case, sizes in (QUICK if options.quick else SIZES).items()
        if options.only is None or options.only in case
    }
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        link_images(folder, max(cases.get("rows: files", (1,))))
        rows = measure_all(cases, folder, options)
        shown = [
            {**row, "peak": row["peak"] / 1e6, "above_data": row["above_data"] / 1e6}
            for row in rows
        ]
        print(table(shown))
        limits = Limits()
        lines = summary(rows, folder, limits)
    print(f"\nlimits of this machine: {limits}")
    write("scaling_quick" if options.quick else "scaling", lines, measured=rows)
    for line in lines:
        if line["case"] == "rows: files" and line["action"] == "predict":
            verdict = "within" if line["more MB"] <= MORE_MEMORY else "NOT within"
            print(f"memory of predict: {line['more MB']:.0f} MB more, {verdict} {MORE_MEMORY} MB")
    print(f"{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
