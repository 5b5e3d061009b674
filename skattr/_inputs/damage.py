"""Damage of image files that Pillow does not report.

Pillow drops the warnings of libjpeg and skips the checksums of PNG data, so that a damaged file
is read with gray or shifted parts. simplejpeg reports libjpeg's warnings.
"""

import io
import re
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image

_BLOCK_SIZE = 64
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # frame headers, SOFn
_PROGRESSIVE_FRAMES = {0xC2, 0xCA}  # libjpeg reads no other ones
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
# In compressed data FF 00 is a byte FF, and FF D0 to FF D7 are restart markers.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class DamagedImageError(Exception):
    """An image can be decoded, but its file is damaged. The message is the decoder's."""


def complaint_of(
    error: Exception, decode: Callable[..., Any], content: bytes, colorspace: str
) -> str | None:
    """Return the message of simplejpeg's error, if it is only a complaint of libjpeg.

    Without `strict`, simplejpeg decodes all files that libjpeg only warns of. It rejects some that
    Pillow decodes, such as CMYK files with subsampled colors.
    """
    try:
        decode(content, colorspace, strict=False, min_height=1, min_width=1)
    except Exception:
        return find_missing_data(content)
    return str(error)


def find_missing_data(content: bytes) -> str | None:
    """Return a complaint if a JPEG file ends too early, as far as Pillow alone can tell.

    Pillow's decoder fills what is missing with gray where it meets the end marker. Without the
    marker it asks for more data, unless the image is complete.
    """
    complaint, end, is_progressive = _read_scans(content)
    if complaint is not None or is_progressive:
        return complaint
    try:
        # The decoder reads up to eight bytes ahead.
        opened = Image.open(io.BytesIO(content[:end] + bytes(16)))
    except Exception:  # a broken header, which is an error for the whole file too
        return None
    with opened:
        opened.draft(None, (1, 1))
        try:
            opened.load()
        except OSError as error:
            return str(error)
    return None


def find_missing_scans(content: bytes) -> str | None:
    """Return a complaint if a JPEG file ends before its last scan, else None.

    A progressive file sends each coefficient in several scans, the last of which has its lowest
    bit. libjpeg takes a file without the later scans for a complete, blurred image.

    Parameters
    ----------
    content : bytes
        A JPEG file that libjpeg decodes without a complaint.
    """
    return _read_scans(content, to_the_end=False)[0]


def _read_scans(content: bytes, to_the_end: bool = True) -> tuple[str | None, int, bool]:
    """Return a complaint, the position of the end marker, and whether a file is progressive."""
    bits: dict[int, list[int]] = {}  # by component: the lowest bit sent of each coefficient
    position, is_progressive = 2, False
    while match := _MARKER.search(content, position):
        marker, position = content[match.end() - 1], match.end()
        if marker == _END_OF_IMAGE:
            position -= 2
            break
        if marker in _WITHOUT_LENGTH:
            continue
        end = position + int.from_bytes(content[position : position + 2], "big")
        segment, position = content[position + 2 : end], end
        if marker in _FRAMES:
            bits = {component: [99] * _BLOCK_SIZE for component in segment[6::3]}
            is_progressive = marker in _PROGRESSIVE_FRAMES
        elif marker == _START_OF_SCAN and len(segment) > 3:
            first, last, approximation = segment[-3:]
            for component in bits.keys() & segment[1:-3:2]:
                for k in range(first, min(last + 1, _BLOCK_SIZE)):
                    bits[component][k] = approximation & 15
            if not to_the_end and not any(map(any, bits.values())):
                break
    is_incomplete = any(map(any, bits.values()))
    return "its last scans are missing" if is_incomplete else None, position, is_progressive


def find_png_damage(content: bytes) -> str | None:
    """Return what is damaged in a PNG file, else None.

    Checked are the checksums of the chunks that pixels depend on, and that the file is complete.

    Parameters
    ----------
    content : bytes
    """
    data, position = memoryview(content), 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = bytes(data[position + 4 : position + 8])
        if end > len(data):
            break
        is_used = kind[:1].isupper() or kind == b"tRNS"  # critical chunks have a capital
        checksum = int.from_bytes(data[end - 4 : end], "big")
        if is_used and zlib.crc32(data[position + 4 : end - 4]) != checksum:
            return f"the checksum of its {kind.decode('latin-1')} chunk is wrong"
        if kind == b"IEND":
            return None
        position = end
    return "it is truncated: its last chunk, IEND, is missing"


def png_significant_bits(content: bytes) -> int | None:
    """Return the largest number of significant bits that the sBIT chunk of a PNG file declares."""
    start = content.find(b"sBIT", 8)
    if start < 0 or start > content.find(b"IDAT"):
        return None
    length = int.from_bytes(content[start - 4 : start], "big")
    return max(content[start + 4 : start + 4 + length], default=None)
