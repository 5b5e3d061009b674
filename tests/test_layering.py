"""Who may import whom: arrows point down the list of rooms only."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import skattr

ROOT = Path(skattr.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Rooms of one line may not import each other.
LAYERS = [
    {"exceptions", "_utils", "nn"},
    {"_targets", "losses"},
    {"_inputs", "_multioutput"},
    {"_cache", "datasets", "metrics", "model_selection"},
    {"_training", "thresholds", "calibration"},
    {"_estimators", "inspection"},
    {"__init__"},
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def room_of(path):
    """Return the module, or the folder, right under the package."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path):
    """Return the dotted names of all a file imports, in functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            assert not function.endswith(("__import__", "import_module")), path
    return names


def packages_of(room):
    """Return the top-level packages a room imports."""
    files = [path for path in FILES if room_of(path) == room]
    return {name.split(".")[0] for path in files for name in imports_of(path)}


def rooms_imported_by(path):
    """Return the rooms of the package a file imports."""
    parts = [name.split(".") for name in imports_of(path)]
    return {part[1] for part in parts if part[0] == "skattr" and len(part) > 1}


def test_every_room_has_a_layer():
    """A new module or folder must be given its place in the list."""
    assert {room_of(path) for path in FILES} == set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_down(path):
    """A file imports rooms of lower layers, or files of its own room."""
    room = room_of(path)
    for other in rooms_imported_by(path) - {room}:
        assert RANK[other] < RANK[room], f"{path} imports {other}"


def test_datasets_import_only_exceptions():
    """Data can be made without anything else; checks read it as the classifier does."""
    readers = {"_inputs", "_targets", "_utils"}
    for path in FILES:
        if room_of(path) == "datasets":
            allowed = readers if path.stem == "_image_checks" else set()
            assert rooms_imported_by(path) <= {"datasets", "exceptions"} | allowed


def test_the_network_is_plain_torch():
    """The room nn imports neither scikit-learn nor skorch nor pandas."""
    assert packages_of("nn") <= {
        *sys.stdlib_module_names,
        "numpy",
        "torch",
        "torchvision",
        "skattr",
    }


def test_only_training_imports_skorch():
    """The package skorch stays in one room."""
    assert {room for room in RANK if "skorch" in packages_of(room)} == {"_training"}


def test_who_imports_torch():
    """The network, training, the resize of decoded images and the thread map import torch."""
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        if {name.split(".")[0] for name in imports_of(path)} & {"torch", "torchvision"}
        and room_of(path) not in {"nn", "_training"}
    }
    assert users == {"_inputs/decoding.py", "_utils/parallel.py"}


def test_training_does_not_import_scikit_learn():
    """Training knows arrays and tensors, not estimators."""
    assert "sklearn" not in packages_of("_training")


def test_the_root_only_names():
    """The package's __init__ has imports, a version and names, and no logic."""
    body = ast.parse((ROOT / "__init__.py").read_text()).body
    assert {type(node) for node in body[1:]} <= {ast.ImportFrom, ast.Assign}
    names = {
        alias.asname for node in body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert names | {"__version__"} == set(skattr.__all__)


def test_public_modules_name_what_they_export():
    """Every name in an __all__ is there."""
    for module in (
        skattr,
        skattr.calibration,
        skattr.datasets,
        skattr.inspection,
        skattr.metrics,
        skattr.model_selection,
        skattr.nn,
        skattr.thresholds,
        skattr._training,
    ):
        for name in getattr(module, "__all__", []):
            assert hasattr(module, name)


SCRIPT = """
import hashlib, json, os, random, sys, threading, warnings
import numpy, pandas, PIL.Image, PIL.ImageFile, PIL.ImageOps, scipy.sparse, scipy.special, sklearn
import skorch.callbacks, sklearn.model_selection, torch, torch.optim.lr_scheduler
import torch.utils.data, torchvision, tqdm.auto

def state():
    numpy_state = numpy.random.get_state()
    return {
        "filters": repr(warnings.filters),
        "numpy": hashlib.sha256(numpy_state[1].tobytes()).hexdigest() + repr(numpy_state[2:]),
        "numpy errors": numpy.geterr(),
        "python": hashlib.sha256(repr(random.getstate()).encode()).hexdigest(),
        "torch": hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest(),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "python threads": threading.active_count(),
        "dtype": str(torch.get_default_dtype()),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn": [torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic],
        "cuda": torch.cuda.is_initialized(),
        "pillow": [PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES],
        "sklearn": repr(sklearn.get_config()),
        "pandas": pandas.get_option("mode.copy_on_write"),
        "environment": dict(os.environ),
        "start method": torch.multiprocessing.get_start_method(allow_none=True),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
    }

with warnings.catch_warnings(record=True):
    warnings.simplefilter("always")
    state()
before = state()
import skattr
after = state()
changed = [key for key in before if before[key] != after[key]]
print(json.dumps({"changed": changed, "matplotlib": "matplotlib" in sys.modules}))
"""


def test_import_has_no_side_effect():
    """Filters, generators, threads, flags and settings are as they were before the import."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"changed": [], "matplotlib": False}
