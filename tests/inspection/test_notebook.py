"""Figures in a notebook: those of displays are shown, and so are later ones of the user."""

import json
from pathlib import Path

import matplotlib
import pytest

from skattr.inspection import _style as style


def test_only_own_settings_are_restored():
    """What a backend sets in between stays, as `interactive` when a first figure is made."""
    before = dict(matplotlib.rcParams)
    try:
        with style.plot_context("test"):
            assert matplotlib.rcParams["font.size"] == 8
            matplotlib.rcParams["interactive"] = not before["interactive"]
        assert matplotlib.rcParams["interactive"] != before["interactive"]
        assert matplotlib.rcParams["font.size"] == before["font.size"]
    finally:
        matplotlib.rcParams["interactive"] = before["interactive"]
    with pytest.raises(RuntimeError), style.plot_context("test"):
        raise RuntimeError
    assert dict(matplotlib.rcParams) == before


CELLS = [
    "import numpy as np\n"
    "from skattr.inspection import AttributeScoresDisplay, ReliabilityDisplay\n"
    "y = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])",
    "display = AttributeScoresDisplay.from_predictions(y, y, confidence=None)",
    "display = ReliabilityDisplay.from_predictions(y, np.clip(y + 0.0, 0.1, 0.9))",
    "import matplotlib.pyplot as plt\nlines = plt.plot([0, 1])",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_kernel_shows_every_figure(monkeypatch, tmp_path):
    """Two figures of displays and one of the user's, each in the output of its cell."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    with client.setup_kernel():
        connection = json.loads(Path(client.km.connection_file).read_text(encoding="utf-8"))
        assert connection["ip"] == "127.0.0.1"  # nobody but this machine reaches the kernel
        for place, cell in enumerate(cells):
            client.execute_cell(cell, place)
    shown = [[name for output in cell.outputs for name in output.get("data", {})] for cell in cells]
    assert [("image/png" in names) for names in shown] == [False, True, True, True]
