"""A folder of readable images of many kinds, unreadable files and paths that are not files."""

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 32
BOMB_SIDE = 20_000
ORIENTATION = 0x0112


@dataclass
class HostileFolder:
    """Paths of readable (`good`) and unreadable (`bad`) images, and problems of the latter."""

    good: dict[str, str] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self):
        """All paths, sorted by name."""
        paths = {**self.good, **self.bad}
        return [paths[name] for name in sorted(paths)]

    @property
    def is_bad(self):
        """Mask of the unreadable `paths`."""
        return np.isin(self.paths, list(self.bad.values()))

    @property
    def problem_by_path(self):
        """The problem of each unreadable path."""
        return {path: self.problems[name] for name, path in self.bad.items()}


def make_hostile_folder(folder):
    """Write all files.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    HostileFolder
    """
    result = HostileFolder()
    _write_good(folder, result.good)
    contents = Path(result.good["plain.jpg"]).read_bytes()
    png = Path(result.good["plain.png"]).read_bytes()
    broken = {
        "truncated.jpg": (contents[: len(contents) // 2], "truncated"),
        "truncated.png": (png[: len(png) // 2], "truncated"),
        "text.jpg": (b"This is not an image.\n", "not an image"),
        "empty.jpg": (b"", "not an image"),
        "bomb.png": (_blank_png(BOMB_SIDE, BOMB_SIDE), "bomb"),
    }
    for name, (data, problem) in broken.items():
        (folder / name).write_bytes(data)
        result.problems[name] = problem
    (folder / "a folder.jpg").mkdir()
    (folder / "loop.jpg").symlink_to(folder / "loop back.jpg")
    (folder / "loop back.jpg").symlink_to(folder / "loop.jpg")
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")  # opening it would block
    for name in ("a folder.jpg", "loop.jpg", "dangling.jpg", "pipe.jpg", "missing.jpg"):
        result.problems[name] = "missing"
    if os.geteuid():  # root can read all files
        (folder / "locked.jpg").write_bytes(contents)
        (folder / "locked.jpg").chmod(0)
        result.problems["locked.jpg"] = "unreadable"
    result.bad = {name: str(folder / name) for name in result.problems}
    return result


def _write_good(folder, good):
    """Write one readable file of each kind."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
    color = Image.fromarray(levels[..., :3])
    palette = color.quantize(8)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    frames = [Image.new("RGB", (WIDTH, HEIGHT), name) for name in ("red", "lime", "blue")]
    images = {
        "plain.jpg": (color, {}),
        "plain.png": (color, {}),
        "gray.png": (Image.fromarray(levels[..., 0]), {}),
        "rgba.png": (Image.fromarray(levels), {}),
        "one pixel.png": (Image.new("RGB", (1, 1), "red"), {}),
        "16 bit.png": (Image.fromarray(levels[..., 0].astype(np.uint16) * 257), {}),
        "cmyk.jpg": (Image.fromarray(levels, "CMYK"), {}),
        "palette.png": (palette, {"transparency": bytes(range(0, 256, 32))}),
        "animated.gif": (frames[0], {"save_all": True, "append_images": frames[1:]}),
        "turned.jpg": (color.rotate(5), {"exif": exif}),
        "für Elise, 第一章 (1).png": (color.rotate(7), {}),
    }
    for name, (image, options) in images.items():
        image.save(folder / name, **options)
        good[name] = str(folder / name)


def _blank_png(width, height):
    """Return a valid PNG with one bit per pixel, compressed row by row to save memory."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
