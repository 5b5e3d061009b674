"""Tests of the layout: which subpackage may import which, names of private paths, public names.

A *subpackage* is a folder right under the package, or a module right under it (`losses`).
"""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import skattr

ROOT = Path(skattr.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Lowest layer first. A subpackage may import subpackages of lower layers only.
LAYERS = [
    {"exceptions", "_utils", "nn"},
    {"_targets", "losses"},
    {"_inputs", "_multioutput"},
    {"_cache", "datasets", "metrics", "model_selection"},
    {"_training", "thresholds", "calibration"},
    {"_estimators", "inspection"},
    {"__init__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

PUBLIC_MODULES = {"exceptions.py", "losses.py"}
PUBLIC = [
    "skattr",
    "skattr.calibration",
    "skattr.datasets",
    "skattr.inspection",
    "skattr.losses",
    "skattr.metrics",
    "skattr.model_selection",
    "skattr.nn",
    "skattr.thresholds",
]


def relative(path):
    """Return a path below the package, as the id of a test."""
    return path.relative_to(ROOT).as_posix()


def subpackage(path):
    """Return the name of the folder or module right under the package."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_names(path):
    """Return the dotted names of everything that a file imports, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            assert not function.endswith(("__import__", "import_module")), path
    return names


def imported_packages(path):
    """Return the top-level packages that a file imports."""
    return {name.split(".")[0] for name in imported_names(path)}


def imported_subpackages(path):
    """Return the subpackages of skattr that a file imports."""
    parts = [name.split(".") for name in imported_names(path)]
    return {part[1] for part in parts if part[0] == "skattr" and len(part) > 1}


def importers(*packages):
    """Return the files that import one of some top-level packages."""
    return {relative(path) for path in FILES if imported_packages(path) & set(packages)}


def test_every_subpackage_has_a_layer():
    """A new module or folder must be added to LAYERS."""
    assert {subpackage(path) for path in FILES} == set(RANK)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_point_down(path):
    """A file imports subpackages of lower layers, or files of its own subpackage."""
    own = subpackage(path)
    for other in imported_subpackages(path) - {own}:
        assert RANK[other] < RANK[own], f"{path} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_private_paths_have_one_underscore(path):
    """A file is private by its folder or by its own name, never by both.

    Files without an underscore in their path are the `__init__` of public folders and the few
    public modules.
    """
    parts = path.relative_to(ROOT).parts
    n_underscores = sum(part.startswith("_") and not part.startswith("__") for part in parts)
    is_init = path.name == "__init__.py"
    if is_init and n_underscores == 0:
        assert len(parts) <= 2, f"{path} is a public folder inside another"
    elif n_underscores == 0:
        assert relative(path) in PUBLIC_MODULES, f"{path} looks public"
    else:
        assert n_underscores == 1, f"{path} is marked private twice"


def test_public_subpackages_are_listed():
    """Every folder and module without an underscore is in PUBLIC, exceptions aside."""
    names = {subpackage(path) for path in FILES} - {"__init__", "exceptions"}
    public = {f"skattr.{name}" for name in names if not name.startswith("_")}
    assert public | {"skattr"} == set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_modules_export_exactly_all(name):
    """`__all__` lists every public name of a module, and each name exists."""
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public), f"{name}.{public}"
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {
        alias.asname
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name  # "import x as x" marks a re-export
    }
    assert imported <= set(module.__all__)


def test_datasets_import_only_exceptions():
    """Data can be loaded without the rest; some files read tables, X and y like `fit`."""
    readers = {
        "_image_checks": {"_inputs", "_targets", "_utils"},
        "_attribute_table": {"_targets"},
        "_table_files": {"_utils"},
        "_tags": {"_targets"},
    }
    for path in FILES:
        if subpackage(path) == "datasets":
            allowed = readers.get(path.stem, set())
            assert imported_subpackages(path) <= {"datasets", "exceptions"} | allowed


def test_nn_is_plain_torch():
    """The subpackage nn imports neither scikit-learn nor skorch nor pandas."""
    packages = set().union(*(imported_packages(path) for path in FILES if subpackage(path) == "nn"))
    allowed = {*sys.stdlib_module_names, "numpy", "safetensors", "torch", "torchvision", "skattr"}
    assert packages <= allowed


def test_only_training_imports_skorch():
    """Only files of `_training` import skorch."""
    assert {name.split("/")[0] for name in importers("skorch")} == {"_training"}


def test_files_that_import_torch():
    """Outside nn and _training, two files use torch for arithmetic on arrays."""
    outside = {
        name
        for name in importers("torch", "torchvision")
        if name.split("/")[0] not in {"nn", "_training"}
    }
    assert outside == {"_inputs/decoding.py", "_utils/parallel.py"}


def test_training_does_not_import_scikit_learn():
    """Files of `_training` work on arrays and tensors, not on estimators."""
    assert not {name for name in importers("sklearn") if name.startswith("_training/")}


def test_root_has_no_logic():
    """The package's `__init__` has only imports, a version and `__all__`."""
    body = ast.parse((ROOT / "__init__.py").read_text()).body
    assert {type(node) for node in body[1:]} <= {ast.ImportFrom, ast.Assign}
    names = {
        alias.asname for node in body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert names | {"__version__"} == set(skattr.__all__)


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


def test_import_has_no_side_effects():
    """Importing skattr changes no warning filter, generator, thread, flag or setting."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"changed": [], "matplotlib": False}
