"""The Python blocks of README.md run in order, as they are."""

import re
import warnings
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.slow
def test_blocks_run(monkeypatch, tmp_path):
    """Each block runs after the ones before it, as in one session of a reader."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 3
    namespace = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # a reader sees warnings, and goes on
        for number, block in enumerate(blocks, start=1):
            exec(compile(block, f"README.md, Python block {number}", "exec"), namespace)
