"""Training and inference on one CUDA device, against bare loops and the limits of the chip.

    python benchmarks/bench_gpu.py           # under five minutes; --only training, --runs
    python benchmarks/bench_gpu.py --cpu     # everything tiny, on the CPU, to check the script

Each section answers one question:

training     images per second of `fit` on uint8 images in host memory (ResNet-50, 224, bf16, 40
             binary attributes), against a bare loop with the same network, optimizer, schedule
             and loss and images on the device; share of the chip's peak; peak memory.
inference    `predict_proba` (the complete second call) against an `inference_mode` loop.
heads        kernels and seconds of branches and loss, forward and backward, at 620 attributes,
             against a ModuleList with a loop of losses.
files        `fit` on JPEG files with worker processes, on the decoded cache, and on arrays.
determinism  is the network bit-identical if it is fitted twice with one `random_state`?
memory       does prediction with a batch that exceeds the memory still give the result?

Epochs are timed with `history_`, without the first one, in which kernels are selected and memory
is allocated. If a section fails, the error is reported and the other sections run. Without a CUDA
device the script says so and ends.
"""

import contextlib
import multiprocessing
import os
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision
from measure import Limits, interleaved, parser, table, write
from PIL import Image
from torch import nn
from torch.autograd import DeviceType
from torch.nn import functional

from skattr import AttributeClassifier, Augmentation, Branches, ImageReading, TrainingOptions
from skattr.losses import CrossEntropyLoss
from skattr.nn import BranchLayout, FusedBranches, SummedCrossEntropy

N_ATTRIBUTES = 40
ANCHOR = 4868  # images per second in training, ResNet-50 on an H200 (milabench, fp16, batch 256)
NOMINAL = 989e12  # bf16 operations per second of an H100 or H200 (SXM), dense
TARGET = 0.95
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Sizes:
    """Sizes of the work."""

    device: str = "cuda"
    backbone: str = "resnet50"
    macs: float = 4.09e9  # of one forward pass of one image
    side: int = 224
    n_images: int = 8192
    batch_size: int = 256
    epochs: int = 5
    dtype: torch.dtype = torch.bfloat16
    n_branches: int = 620
    n_files: int = 4096
    file_size: tuple[int, int] = (500, 375)
    n_small: int = 512
    side_small: int = 64
    workers: int = min(16, os.cpu_count() or 1)
    megabytes: int = 4000  # limit of the allocator in the memory section

    @property
    def operations(self) -> float:
        """Return the operations of one forward pass of one image."""
        return 2 * self.macs


TINY = Sizes(
    device="cpu",
    backbone="resnet18",
    macs=1.81e9 / 49,
    side=32,
    n_images=64,
    batch_size=16,
    epochs=2,
    dtype=torch.float32,
    n_branches=20,
    n_files=32,
    file_size=(60, 40),
    n_small=32,
    side_small=32,
    workers=1,
)


def make_data(n, side):
    """Return random images and binary labels."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return X, rng.integers(0, 2, (n, N_ATTRIBUTES), dtype=np.int8)


def classifier_of(sizes, **params):
    """Return the classifier that is measured."""
    settings = {
        "backbone": sizes.backbone,
        "image_size": sizes.side,
        "batch_size": sizes.batch_size,
        "max_epochs": sizes.epochs,
        "device": sizes.device,
        "random_state": 0,
    }
    return AttributeClassifier(**{**settings, **params})


def wait(sizes):
    """Wait until the device has finished its work."""
    if sizes.device == "cuda":
        torch.cuda.synchronize()


@contextlib.contextmanager
def peak_memory(sizes):
    """Yield a list that holds the peak of allocated device memory, in MB, at the end."""
    found = []
    if sizes.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield found
    found.append(torch.cuda.max_memory_allocated() / 1e6 if sizes.device == "cuda" else None)


def speed_of(classifier, n):
    """Return images per second in the epochs after the first."""
    return n / float(np.median([row["dur"] for row in classifier.history_[1:]]))


class BareNetwork(nn.Module):
    """Torchvision's network with one linear map, as written by hand."""

    def __init__(self, backbone):
        super().__init__()
        self.network = torchvision.models.get_model(backbone)
        self.network.fc = nn.Linear(self.network.fc.in_features, N_ATTRIBUTES)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, pixels):
        """Map uint8 images (n, H, W, 3) to logits."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return self.network(x)


def bare_network(sizes):
    """Return a bare network on the device."""
    return BareNetwork(sizes.backbone).to(sizes.device, memory_format=torch.channels_last)


def bare_training(sizes, X, y, autotune):
    """Train by hand on data on the device; return images per second."""
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=autotune, allow_tf32=True)
    with flags:
        return bare_loop(sizes, X, y)


def bare_loop(sizes, X, y):
    """Train by hand, and return images per second in the epochs after the first."""
    images = torch.from_numpy(X).to(sizes.device)
    labels = torch.from_numpy(y).to(sizes.device, torch.float32)
    network = bare_network(sizes).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    n_steps = sizes.epochs * (len(X) // sizes.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=n_steps)
    seconds = []
    for _ in range(sizes.epochs):
        wait(sizes)
        start = time.perf_counter()
        order = torch.randperm(len(X), device=sizes.device)
        for indices in order.split(sizes.batch_size):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(sizes.device, sizes.dtype, enabled=sizes.device == "cuda"):
                logits = network(images.index_select(0, indices))
            targets = labels.index_select(0, indices)
            loss = functional.binary_cross_entropy_with_logits(logits.float(), targets)
            (loss * N_ATTRIBUTES).backward()
            optimizer.step()
            schedule.step()
        wait(sizes)
        seconds.append(time.perf_counter() - start)
    return len(X) / float(np.median(seconds[1:]))


def throughput(case, sizes, ours, bare, limits, passes, memory):
    """Return a row of images per second."""
    operations, n_bytes = passes * sizes.operations, 3 * sizes.side**2
    return {
        "case": case,
        "images/s": ours,
        "bare": bare,
        "ratio": ours / bare,
        "target": TARGET,
        "anchor": ANCHOR if passes == 3 else None,
        "of product": ours * operations / limits.operations,
        "of nominal": ours * operations / NOMINAL,
        "limit us": limits.seconds(operations, n_bytes) * 1e6,
        "over limit": 1 / ours / limits.seconds(operations, n_bytes),
        "peak MB": memory[0][0],
        "bare MB": memory[1][0],
    }


def training(sizes, options):
    """Compare fits."""
    limits = Limits(sizes.device, sizes.dtype)
    X, y = make_data(sizes.n_images, sizes.side)
    with peak_memory(sizes) as ours_memory:
        ours = speed_of(classifier_of(sizes).fit(X, y), len(X))
    with peak_memory(sizes) as bare_memory:
        bare = {autotune: bare_training(sizes, X, y, autotune) for autotune in (False, True)}
    memory = (ours_memory, bare_memory)
    print(f"bare loop: {bare[False]:.0f} images/s, with cudnn.benchmark {bare[True]:.0f}")
    print(
        f"limits: {limits}; an image: {3 * sizes.operations / 1e9:.1f} GFLOP, "
        f"{3 * sizes.side**2 / 1e3:.0f} kB; nominal {NOMINAL / 1e12:.0f} TFLOP/s"
    )
    return [throughput("training", sizes, ours, max(bare.values()), limits, 3, memory)]


def inference(sizes, options):
    """Compare predictions."""
    limits = Limits(sizes.device, sizes.dtype)
    X, y = make_data(sizes.n_images, sizes.side)
    few = 2 * sizes.batch_size
    classifier = classifier_of(sizes, max_epochs=1).fit(X[:few], y[:few])
    network, images = bare_network(sizes).eval(), torch.from_numpy(X).to(sizes.device)

    def bare():
        on = sizes.device == "cuda"
        with torch.inference_mode(), torch.autocast(sizes.device, sizes.dtype, enabled=on):
            parts = [network(batch).sigmoid() for batch in images.split(sizes.batch_size)]
            return torch.cat(parts).float().cpu().numpy()

    with peak_memory(sizes) as ours_memory:
        classifier.predict_proba(X)
    with peak_memory(sizes) as bare_memory:
        bare()
    ways = {"ours": lambda: classifier.predict_proba(X), "bare": bare}
    taken = interleaved(ways, options.runs)
    speeds = [len(X) / taken[name] for name in ("ours", "bare")]
    return [throughput("inference", sizes, *speeds, limits, 1, (ours_memory, bare_memory))]


def heads(sizes, options):
    """Count the kernels of branches and loss, and time them."""
    rows = []
    rng = np.random.default_rng(0)
    for case in ("binary", "mixed"):
        highest = 3 if case == "binary" else 11
        n_classes = tuple(rng.integers(2, highest, sizes.n_branches).tolist())
        codes = np.stack([rng.integers(0, count, 256) for count in n_classes], axis=1)
        codes = torch.from_numpy(codes).to(sizes.device)
        layout = BranchLayout(n_classes)
        branches = FusedBranches(2048, layout).to(sizes.device)
        loss = SummedCrossEntropy(layout).to(sizes.device)
        weights = torch.ones(codes.shape, device=sizes.device)
        separate = nn.ModuleList(nn.Linear(2048, count) for count in n_classes).to(sizes.device)
        inputs = torch.randn(256, 2048, device=sizes.device, requires_grad=True)

        def ours(branches=branches, loss=loss, inputs=inputs, codes=codes, weights=weights):
            loss(branches(inputs), codes, weights).backward()

        def loop(separate=separate, inputs=inputs, codes=codes):
            losses = [
                functional.cross_entropy(branch(inputs), codes[:, j])
                for j, branch in enumerate(separate)
            ]
            torch.stack(losses).sum().backward()

        taken = interleaved({"ours": ours, "loop": loop}, 4 * options.runs, warmups=3)
        counts = {name: kernels_of(way, sizes) for name, way in (("ours", ours), ("loop", loop))}
        rows.append(
            {
                "attributes": f"{sizes.n_branches} {case}",
                "kernels": counts["ours"],
                "loop's": counts["loop"],
                "ms": 1e3 * taken["ours"],
                "loop's ms": 1e3 * taken["loop"],
                "ratio": taken["loop"] / taken["ours"],
            }
        )
    return rows


def kernels_of(function, sizes):
    """Return how many kernels a call launches; on the CPU, how many operations it dispatches."""
    function()
    is_cuda = sizes.device == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    if is_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        function()
        wait(sizes)
    if not is_cuda:
        return sum(event.name.startswith("aten::") for event in profile.events())
    on_device = [event for event in profile.events() if event.device_type == DeviceType.CUDA]
    return sum(not event.name.startswith(("Memcpy", "Memset")) for event in on_device)


def make_files(folder, sizes):
    """Write JPEG files of smooth random images, and return their paths."""

    def save(row):
        rng = np.random.default_rng(row)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        path = str(Path(folder) / f"{row:05d}.jpg")
        coarse.resize(sizes.file_size, Image.Resampling.BICUBIC).save(path, quality=90)
        return path

    with ThreadPoolExecutor(sizes.workers) as pool:
        return list(pool.map(save, range(sizes.n_files)))


def files(sizes, options):
    """Compare the sources of images: files, cache and arrays."""
    X, y = make_data(sizes.n_files, sizes.side)
    n = sizes.workers
    ways = {
        "arrays": ImageReading(num_workers=n),
        "files": ImageReading(num_workers=n),
        "files, decoding='scaled'": ImageReading("scaled", num_workers=n),
        "files, cache='memory'": ImageReading(cache="memory", num_workers=n),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = make_files(folder, sizes)
        for name, reading in ways.items():
            data = X if name == "arrays" else paths
            classifier = classifier_of(sizes, images=reading, max_epochs=4)
            speed = speed_of(classifier.fit(data, y), len(y))
            rows.append({"images": name, "workers": sizes.workers, "images/s": speed})
    for row in rows:
        row["of arrays"] = row["images/s"] / rows[0]["images/s"]
    return rows


def small():
    """Return a network that compiles fast."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
    )


def choices():
    """Return the options that are fitted twice: parameters and further settings."""
    result = {
        "default": {},
        "cudnn.deterministic": {"flag": "cudnn"},
        "use_deterministic_algorithms": {"flag": "all"},
        "small network": {"backbone": small},
        "small network, compiled": {"backbone": small, "training": TrainingOptions(compile=True)},
        "hidden": {"branches": Branches(hidden=16)},
        "mixed attributes": {"labels": "mixed"},
        "features, category_prior='condition'": {"category_prior": "condition"},
        "attribute_weight='uncertainty'": {"attribute_weight": "uncertainty"},
        "loss, unknown='selective'": {"loss": CrossEntropyLoss(unknown="selective")},
        "mixup": {"augment": Augmentation(mixup=0.2)},
        "dropout": {"branches": Branches(dropout=0.3)},
        "ema_decay": {"training": TrainingOptions(ema_decay=0.9)},
    }
    for loss in ("focal", "asymmetric", "partial_asymmetric"):
        result[f"loss={loss!r}"] = {"loss": loss}
    for augment in ("flip", "shift", "light", "geometry", "strong"):
        result[f"augment={augment!r}"] = {"augment": augment}
    return result


def flags(flag):
    """Return the context that makes torch deterministic."""
    if flag == "cudnn":
        return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    if flag == "all":
        torch.use_deterministic_algorithms(True)  # in a separate process
    return contextlib.nullcontext()


def fit_twice(name, sizes):
    """Return whether the weights of two fits, and two predictions, are bit-identical."""
    params = choices()[name]
    flag, labels = params.pop("flag", None), params.pop("labels", "binary")
    X, y = make_data(sizes.n_small, sizes.side_small)
    if labels == "mixed":
        y = (y + np.arange(N_ATTRIBUTES) % 5 * np.roll(y, 1, axis=0)).astype(np.int64)
    backbone = "resnet18" if sizes.device == "cuda" else small
    if "category_prior" in params:
        backbone, X = "mlp", pd.DataFrame(X[:, 0, :, 0] / 255, columns=map(str, range(X.shape[2])))
        X["category"] = np.where(y[:, 0], "seal", "boat")
    small_ones = {"image_size": sizes.side_small, "batch_size": sizes.n_small // 8}
    settings = {"backbone": backbone, "max_epochs": 2, **small_ones, **params}
    states = []
    with flags(flag), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of torch's compiler
        start = time.perf_counter()
        for _ in range(2):
            classifier = classifier_of(sizes, **settings).fit(X, y)
            states.append(classifier.net_.module_.state_dict())
        seconds = time.perf_counter() - start
        answers = [np.hstack(classifier.predict_proba(X)) for _ in range(2)]
    pairs = list(zip(states[0].values(), states[1].values(), strict=True))
    largest = max(float((one.double() - other.double()).abs().max()) for one, other in pairs)
    same = all(torch.equal(one, other) for one, other in pairs)
    return {
        "option": name,
        "bit-identical": "yes" if same else "NO",
        "largest difference": largest,
        "predictions": "yes" if np.array_equal(*answers) else "NO",
        "s": seconds / 2,
    }


def determinism(sizes, options):
    """Fit twice with every option, in another process if cuBLAS needs a variable."""
    rows = []
    for name, params in choices().items():
        if params.get("flag") != "all":
            rows.append(guarded(partial(fit_twice, name, sizes), {"option": name}))
            continue
        before = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            run = pool.submit(fit_twice, name, sizes).result
            rows.append(guarded(run, {"option": name}))
        del os.environ["CUBLAS_WORKSPACE_CONFIG"]
        if before is not None:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = before
    return rows


def guarded(function, row):
    """Return the row of one option, or one that says what was raised."""
    try:
        return function()
    except Exception as error:  # report it and try the other options
        what = f"{type(error).__name__}: {error}".splitlines()[0][:60]
        empty = {"largest difference": "-", "predictions": "-", "s": "-"}
        return {**row, "bit-identical": what, **empty}


def memory(sizes, options):
    """Predict with one batch of all images, with little memory allowed."""
    n = sizes.n_images // 4
    X, y = make_data(n, sizes.side)
    few = 2 * sizes.batch_size
    classifier = classifier_of(sizes, max_epochs=1).fit(X[:few], y[:few])
    expected = np.hstack(classifier.predict_proba(X))
    if sizes.device == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(sizes.megabytes * 1e6 / total)
    row = {"batch": n, "MB allowed": sizes.megabytes if sizes.device == "cuda" else None}
    try:
        classifier.net_.set_params(batch_size=n)
        found = np.hstack(classifier.predict_proba(X))
        difference = float(np.abs(found - expected).max())
        return [{**row, "result": "given", "difference": difference}]
    except torch.OutOfMemoryError:
        return [{**row, "result": "OUT OF MEMORY", "difference": None}]
    finally:
        if sizes.device == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
            torch.cuda.empty_cache()


SECTIONS = (training, inference, heads, files, determinism, memory)


def main():
    """Run the sections and write the figures."""
    options = parser(__doc__)
    options.add_argument("--cpu", action="store_true", help="everything tiny, on the CPU")
    options.add_argument("--only", help="section to run")
    options = options.parse_args()
    if not options.cpu and not torch.cuda.is_available():
        print("skipped: there is no CUDA device here (--cpu checks the script)")
        return 0
    sizes = TINY if options.cpu else Sizes()
    results, failed, seconds = {}, {}, {}
    for section in SECTIONS:
        name = section.__name__
        if options.only not in (None, name):
            continue
        start = time.perf_counter()
        try:
            results[name] = section(sizes, options)
            print(f"\n{name}\n{table(results[name])}", flush=True)
        except Exception as error:  # report it and run the other sections
            traceback.print_exc()
            failed[name] = repr(error)
        seconds[name] = time.perf_counter() - start
        if sizes.device == "cuda":
            torch.cuda.empty_cache()
    print(f"\nseconds: { ({name: round(took) for name, took in seconds.items()}) }")
    rows = [row for name in ("training", "inference") for row in results.get(name, [])]
    more = {name: found for name, found in results.items() if name not in ("training", "inference")}
    name = "gpu_cpu" if options.cpu else "gpu"
    write(name, rows or [{"case": "none"}], **more, failed=failed, seconds=seconds)
    if failed:
        print(f"FAILED: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
