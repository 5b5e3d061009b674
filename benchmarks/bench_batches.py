"""Time shuffled batches from memory against a plain copy of the same bytes.

    python benchmarks/bench_batches.py    # --runs, --quick

One pass over all rows in batches, with integer codes and weights of 40 attributes, from 512 float32
features (batches of 256), and from uint8 images of 64x64 and of 224x224 (batches of 64). The
loader of the classifier is compared with a copy of the same bytes in batches of the same size that
are not shuffled: contiguous slices, `.clone()` in torch and `.copy()` in NumPy. The aim is .8 of
the speed of the former. Other ways to shuffled batches are `torch.index_select`, `numpy.take`,
indexing with an array, and torch's DataLoader over single rows with its default collation. All of
them copy inputs, codes and weights. The limit is the time to read and write the bytes once, at the
speed of a large copy; there are no floating-point operations.
"""

from functools import partial

import numpy as np
import torch
from measure import Limits, interleaved, parser, table, write
from torch.utils.data import DataLoader, Dataset

from skattr._inputs.checks import check_image_array
from skattr._inputs.rows import FeatureRows
from skattr._training.dataset import AttributeDataset
from skattr._training.loader import BatchLoader

N_ATTRIBUTES = 40
CASES = {  # rows, rows of --quick, shape of a row, batch size, passes that are timed together
    "512 features": (20_480, 2048, (512,), 256, 10),
    "images of 64": (4096, 512, (64, 64, 3), 64, 5),
    "images of 224": (1024, 128, (224, 224, 3), 64, 2),
}


class SingleRows(Dataset):
    """Single rows, as in most Datasets."""

    def __init__(self, arrays):
        self.inputs, self.codes, self.weights = map(torch.from_numpy, arrays)

    def __len__(self):
        """Return the number of rows."""
        return len(self.inputs)

    def __getitem__(self, row):
        """Return a row with its labels."""
        return self.inputs[row], (self.codes[row], self.weights[row])


def shuffled(n, batch_size, generator):
    """Yield the rows of each batch."""
    yield from torch.randperm(n, generator=generator).split(batch_size)


def by_loader(loader):
    """Pass once over the batches of a loader."""
    for _batch in loader:
        pass


def by_slices(arrays, batch_size, copy):
    """Copy contiguous rows."""
    for start in range(0, len(arrays[0]), batch_size):
        for array in arrays:
            copy(array[start : start + batch_size])


def by_index(arrays, batch_size, generator, fetch, is_numpy):
    """Copy shuffled rows with a function of an array and indices."""
    for rows in shuffled(len(arrays[0]), batch_size, generator):
        indices = rows.numpy() if is_numpy else rows
        for array in arrays:
            fetch(array, indices)


def ways_of(rows, arrays, batch_size):
    """Return functions that copy all rows once, and the loader."""
    tensors = [torch.from_numpy(array) for array in arrays]
    generator = torch.Generator().manual_seed(0)
    dataset = AttributeDataset(rows, np.arange(len(rows)), arrays[1], arrays[2])
    ours = BatchLoader(dataset, batch_size, generator)
    single = DataLoader(SingleRows(arrays), batch_size, shuffle=True, generator=generator)
    fetching = {
        "torch.index_select": (tensors, lambda t, rows: t.index_select(0, rows), False),
        "numpy.take": (arrays, lambda a, rows: np.take(a, rows, axis=0), True),
        "X[indices], torch": (tensors, lambda t, rows: t[rows], False),
        "X[indices], numpy": (arrays, lambda a, rows: a[rows], True),
    }
    return {
        "BatchLoader": partial(by_loader, ours),
        "slices, torch .clone()": partial(by_slices, tensors, batch_size, torch.clone),
        "slices, numpy .copy()": partial(by_slices, arrays, batch_size, np.copy),
        **{
            way: partial(by_index, of, batch_size, generator, fetch, is_numpy)
            for way, (of, fetch, is_numpy) in fetching.items()
        },
        "DataLoader, row by row": partial(by_loader, single),
    }, ours


def check(loader, arrays):
    """Raise if a pass over the loader does not yield each row once, with its own labels.

    The first column of the codes holds the number of the row.
    """
    seen = []
    for inputs, (codes, weights) in loader:
        rows = codes[:, 0].numpy()
        seen.append(rows)
        for fetched, array in zip((inputs, codes, weights), arrays, strict=True):
            if not np.array_equal(fetched.numpy(), array[rows]):
                raise RuntimeError("The loader does not yield the requested rows.")
    order = np.concatenate(seen)
    if not np.array_equal(np.sort(order), np.arange(len(order))) or len(order) != len(arrays[0]):
        raise RuntimeError("The loader does not yield each row once.")
    if np.array_equal(order, np.arange(len(order))):
        raise RuntimeError("The loader does not shuffle.")


def repeated(function, passes):
    """Call a function several times."""
    for _ in range(passes):
        function()


def compare(name, options, limits):
    """Return the rows of a case, and its limit."""
    n, few, shape, batch_size, passes = CASES[name]
    n, passes = (few, 1) if options.quick else (n, passes)
    rng = np.random.default_rng(0)
    if len(shape) == 1:
        X = rng.standard_normal((n, *shape), dtype=np.float32)
        rows = FeatureRows(X)
    else:
        X = rng.integers(256, size=(n, *shape), dtype=np.uint8)
        rows = check_image_array(X, shape[:2])
    codes = rng.integers(2, size=(n, N_ATTRIBUTES))
    codes[:, 0] = np.arange(n)
    weights = rng.random((n, N_ATTRIBUTES), dtype=np.float32)
    arrays = [X, codes, weights]
    ways, ours = ways_of(rows, arrays, batch_size)
    check(ours, arrays)
    runs = {way: partial(repeated, function, passes) for way, function in ways.items()}
    seconds = {way: took / passes for way, took in interleaved(runs, options.runs).items()}
    n_bytes = 2 * sum(array.nbytes for array in arrays)
    least = limits.seconds(0, n_bytes)
    copies = [took for way, took in seconds.items() if way.startswith("slices")]
    result = [
        {
            "case": name,
            "way": way,
            "ms a pass": 1e3 * took,
            "GB/s": n_bytes / 2 / took / 1e9,
            "of .clone()": copies[0] / took,
            "of .copy()": copies[1] / took,
            "limit / way": least / took,
        }
        for way, took in seconds.items()
    ]
    limit = {"case": name, "operations": 0.0, "bytes": float(n_bytes), "limit, ms": 1e3 * least}
    return result, limit | {"BatchLoader / limit": seconds["BatchLoader"] / least}


def main():
    """Run the cases and write the results."""
    arguments = parser(__doc__)
    arguments.set_defaults(runs=9)
    arguments.add_argument("--quick", action="store_true", help="few rows, as a smoke test")
    options = arguments.parse_args()
    limits = Limits()
    parts = [compare(name, options, limits) for name in CASES]
    at_the_limit = [limit for _, limit in parts]
    write("batches", [row for rows, _ in parts for row in rows], limits=at_the_limit)
    print(f"\nlimits at {limits}\n{table(at_the_limit)}")


if __name__ == "__main__":
    main()
