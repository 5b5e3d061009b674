"""Tools shared by the speed benchmarks: alternating timing, limits of the machine, result files.

Ratios are of medians of runs that alternate in one process, so that a disturbance of the machine
affects both sides. The limit of a piece of work is the time that its operations take at the speed
of a large matrix product, or its bytes at the speed of a large copy, whichever is longer. Both
speeds are measured in the same run.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

RESULTS = Path(__file__).parent / "results"


def interleaved(
    functions: Mapping[str, Callable[[], Any]], runs: int = 5, warmups: int = 1
) -> dict[str, float]:
    """Run all functions alternately and return the median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for run in range(warmups + runs):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if run >= warmups:
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken)) for name, taken in seconds.items()}


class Limits:
    """Speed at which this machine multiplies matrices and copies memory.

    Attributes
    ----------
    operations : float
        Floating-point operations a second in a large float32 product.
    bytes : float
        Bytes a second, read and written, in a large copy.
    """

    def __init__(self, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        side = 2048 if device == "cpu" else 8192
        one = torch.randn(side, side, device=device, dtype=dtype)
        source = torch.zeros(2**28 if device == "cpu" else 2**32, dtype=torch.uint8, device=device)
        target = torch.zeros_like(source)
        taken = interleaved({"product": lambda: one @ one, "copy": lambda: target.copy_(source)})
        self.operations = 2 * side**3 / taken["product"]
        self.bytes = 2 * len(source) / taken["copy"]

    def seconds(self, operations: float, n_bytes: float) -> float:
        """Return the least time for a number of operations and bytes."""
        return max(operations / self.operations, n_bytes / self.bytes)

    def __str__(self) -> str:
        return f"{self.operations / 1e9:.0f} GFLOP/s, {self.bytes / 1e9:.1f} GB/s"


def machine() -> dict[str, Any]:
    """Describe the machine and the versions."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
    }


def parser(documentation: str) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all benchmarks have."""
    result = argparse.ArgumentParser(description=documentation.splitlines()[0])
    result.add_argument("--runs", type=int, default=5, help="of which medians are taken")
    return result


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of equal keys as text; floats with three significant digits."""
    heads = list(rows[0])
    cells = [heads, *([_cell(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    lines = []
    for line in cells:
        first, *rest = zip(line, widths, strict=True)
        texts = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]
        lines.append("  ".join(texts))
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write(name: str, rows: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """Print rows as a table, and write them with the machine to benchmarks/results/name.json."""
    print(table(rows), flush=True)
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "rows": list(rows), **more}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
