"""Tests that displays import matplotlib only to draw."""

import builtins
import subprocess
import sys
from pathlib import Path

import pytest

import skattr
from skattr.inspection import CooccurrenceDisplay, suspected_label_errors

SCRIPT = """
import sys
import skattr.inspection
from skattr.inspection import suspected_label_errors
suspected_label_errors([1, 0, 1], [0.9, 0.2, 0.1])
print(sorted(name for name in sys.modules if name.split(".")[0] == "matplotlib"))
"""


def test_import_does_not_load_matplotlib():
    """Neither the import nor suspected_label_errors loads matplotlib."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=Path(skattr.__file__).parent.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_no_module_imports_torch_or_matplotlib_at_the_top():
    """The displays work on arrays of any classifier."""
    for path in (Path(skattr.__file__).parent / "inspection").glob("*.py"):
        text = path.read_text()
        assert "import torch" not in text and "from torch" not in text
        for line in text.splitlines():
            assert not line.startswith(("import matplotlib", "from matplotlib"))


def test_missing_matplotlib_raises_import_error(monkeypatch):
    """The error says what to install; suspected_label_errors works without matplotlib."""
    original = builtins.__import__

    def import_without_matplotlib(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_without_matplotlib)
    with pytest.raises(ImportError, match=r"CooccurrenceDisplay needs matplotlib.*pip install"):
        CooccurrenceDisplay.from_labels([[1, 0], [0, 1]])
    assert len(suspected_label_errors([1, 0], [0.9, 0.1])) == 0
