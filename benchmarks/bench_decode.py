"""Time an epoch of image files through the loader against a plain Dataset with Pillow.

    python benchmarks/bench_decode.py    # --runs, --quick

500 JPEG files of 640x480 pixels (noise at several scales, quality 90, about 60 KB each) become
224x224, in batches of 64. The reference is what most training scripts do: a Dataset whose
`__getitem__` opens, converts and resizes (bilinear) one file with Pillow, in torch's DataLoader
with its own collate and the same number of worker processes, none or two. The goals are speedups
of 1.6 for "exact" and 2.3 for "scaled" on one thread, 3.7 for "scaled" on two threads of the main
process, and 40 for an epoch from the cache of decoded images. "Without simplejpeg" is Pillow's
decoder with torch's resize. The difference from Pillow's pixels is given in levels.

The limit has two numbers per image. Bytes: the file is read, the decoded image written and read
by the resize, and the result written. Operations: 27 for each decoded pixel (one and a half
samples, each with 8.5 for its part of an 8x8 inverse DCT, upsampling and dequantization, and 8
for the colors) and 12 for each pixel of the result and tap of the filter. Neither includes the
Huffman decoding, which is sequential and takes most of the time. A third number is therefore the
time of the decoder alone, on one thread and on bytes in memory.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from measure import Limits, interleaved, parser, write
from PIL import Image
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from skattr._cache.decoded_images import CachedFileRows
from skattr._inputs import decoding as _decoding
from skattr._inputs.checks import check_image_paths
from skattr._training.dataset import AttributeDataset
from skattr._training.loader import BatchLoader

BATCH_SIZE = 64
SCALES = {5: 55, 20: 40, 80: 15, 240: 2}  # cells per side: standard deviation of their levels
TARGETS = {
    "exact": 1.6,
    "scaled": 2.3,
    "scaled, 2 threads": 3.7,
    "decoded cache": 40.0,
}


def write_images(folder, n, height, width):
    """Write JPEG files and return their paths."""
    generator = torch.Generator().manual_seed(0)
    paths = []
    for number in range(n):
        levels = torch.full((3, height, width), 128.0)
        for cells, strength in SCALES.items():
            noise = torch.randn(1, 3, cells, cells, generator=generator)
            levels += strength * interpolate(noise, size=(height, width), mode="bicubic")[0]
        levels += torch.randn(1, height, width, generator=generator)
        pixels = levels.clamp(0, 255).byte().permute(1, 2, 0).numpy()
        paths.append(str(Path(folder, f"{number}.jpg")))
        Image.fromarray(pixels).save(paths[-1], quality=90)
    return paths


class PillowDataset(Dataset):
    """Dataset of files that are decoded and resized one at a time."""

    def __init__(self, paths, size):
        self.paths = paths
        self.size = size

    def __len__(self):
        """Return the number of files."""
        return len(self.paths)

    def __getitem__(self, row):
        """Return an image."""
        with Image.open(self.paths[row]) as opened:
            image = opened.convert("RGB").resize(self.size[::-1], Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image))


def make_pillow_loader(paths, size, num_workers):
    """Return the DataLoader of the baseline."""
    return DataLoader(
        PillowDataset(paths, size),
        BATCH_SIZE,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )


def make_loader(rows, num_workers=0):
    """Return the loader of the classifier."""
    return BatchLoader(AttributeDataset(rows, np.arange(len(rows))), BATCH_SIZE, None, num_workers)


def make_cached_loader(paths, size):
    """Return the loader of the classifier with all images in the cache."""
    rows = CachedFileRows(check_image_paths(paths, size))
    for part in make_loader(rows).read():
        rows.store(part.indices, part.batch.numpy())
    if not rows.is_cached(np.arange(len(rows))):
        raise RuntimeError("The cache does not have all images.")
    return make_loader(rows)


def epoch(loader, n_threads=1, decoder=simplejpeg):
    """Iterate once over all batches, with some threads and a substitute for simplejpeg."""
    torch.set_num_threads(n_threads)
    _decoding.simplejpeg = decoder
    try:
        for _ in loader:
            pass
    finally:
        _decoding.simplejpeg = simplejpeg
        torch.set_num_threads(1)


def pixels_of(loader):
    """Return all images."""
    return np.concatenate([batch.numpy() for batch in loader]).astype(np.int16)


def decode_alone(contents, least=(0, 0)):
    """Decode bytes without resizing."""
    for data in contents:
        simplejpeg.decode_jpeg(data, "RGB", min_height=least[0], min_width=least[1])


def limit_of(contents, full_size, size, scale, limits):
    """Return the least seconds for the bytes and for the operations."""
    n_decoded = np.prod(full_size) // scale**2
    taps = 2 * sum(side / scale / new for side, new in zip(full_size, size, strict=True))
    operations = 27 * n_decoded + 12 * np.prod(size) * taps
    n_bytes = 2 * 3 * n_decoded + 3 * np.prod(size)
    return limits.seconds(
        float(operations) * len(contents),
        float(n_bytes) * len(contents) + sum(map(len, contents)),
    )


def main():
    """Write the files, time all variants alternately, and compare the pixels."""
    arguments = parser(__doc__)
    arguments.add_argument("--quick", action="store_true", help="few small files")
    options = arguments.parse_args()
    n, full_size, size = (
        (64, (120, 160), (56, 56)) if options.quick else (500, (480, 640), (224, 224))
    )
    torch.set_num_threads(1)
    limits = Limits()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(folder, n, *full_size)
        contents = [Path(path).read_bytes() for path in paths]
        exact, scaled = (
            check_image_paths(paths, size, decoding=decoding) for decoding in ("exact", "scaled")
        )
        loaders = {
            "Pillow": make_pillow_loader(paths, size, 0),
            "exact": make_loader(exact),
            "scaled": make_loader(scaled),
            "exact, without simplejpeg": make_loader(exact),
            "scaled, without simplejpeg": make_loader(scaled),
            "exact, 2 threads": make_loader(exact),
            "scaled, 2 threads": make_loader(scaled),
            "Pillow, 2 workers": make_pillow_loader(paths, size, 2),
            "exact, 2 workers": make_loader(exact, 2),
            "scaled, 2 workers": make_loader(scaled, 2),
            "decoded cache": make_cached_loader(paths, size),
        }
        ways = {
            way: partial(
                epoch,
                loader,
                2 if "threads" in way else 1,
                None if "without" in way else simplejpeg,
            )
            for way, loader in loaders.items()
        }
        alone = {
            "exact": partial(decode_alone, contents),
            "scaled": partial(decode_alone, contents, size),
        }
        taken = interleaved(
            {**ways, **{f"{way} alone": f for way, f in alone.items()}}, options.runs
        )
        expected = pixels_of(loaders["Pillow"])
        rows = []
        for way, loader in loaders.items():
            difference = np.abs(pixels_of(loader) - expected)
            kind = "scaled" if "scaled" in way else "exact"
            scale = 2 if kind == "scaled" else 1
            floor = limit_of(contents, full_size, size, scale, limits)
            if way == "decoded cache":
                floor = limits.seconds(0, 2.0 * 3 * n * np.prod(size))
            base = "Pillow, 2 workers" if "workers" in way else "Pillow"
            rows.append(
                {
                    "way": way,
                    "images/s": n / taken[way],
                    "times Pillow": taken[base] / taken[way],
                    "aim": TARGETS.get(way, ""),
                    "of the limit": taken[way] / floor,
                    "of the decoder": taken[way] / taken[f"{kind} alone"],
                    "max": int(difference.max()),
                    "mean": float(difference.mean()),
                }
            )
    mean_size = sum(map(len, contents)) / n / 1000
    print(f"{n} files of {mean_size:.0f} KB; {limits}")
    for kind, scale in (("exact", 1), ("scaled", 2)):
        seconds = limit_of(contents, full_size, size, scale, limits) / n
        print(
            f"{kind}: at least {1e3 * seconds:.3f} ms an image by bytes and operations, "
            f"{1e3 * taken[f'{kind} alone'] / n:.3f} ms by the decoder alone"
        )
    name = "decode_quick" if options.quick else "decode"
    write(name, rows, limits=vars(limits), kilobytes=mean_size)


if __name__ == "__main__":
    main()
