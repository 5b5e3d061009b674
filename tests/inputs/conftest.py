"""Fixtures of the tests of X."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.inputs.sample_images import LEVELS, save


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    """Return the path of LEVELS as an RGB file."""
    path = tmp_path_factory.mktemp("one") / "one.png"
    return str(save(Image.fromarray(LEVELS[..., :3]), path))


def png_header(width, height):
    """Return the start of a PNG that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def broken(tmp_path):
    """Return names and contents of files that are not images."""
    whole = save(
        Image.fromarray(np.kron(LEVELS[..., :3], np.ones((40, 40, 1), np.uint8))),
        tmp_path / "w.jpg",
    )
    contents = whole.read_bytes()
    return {
        "truncated.jpg": contents[: len(contents) // 2],
        "text.jpg": b"This is not an image.",
        "empty.png": b"",
        "header.png": contents[:10],
        "bomb.png": png_header(60_000, 60_000),
        "short.png": png_header(100, 100),
        "zeros.bmp": b"BM" + b"\0" * 200,
    }
