"""Outputs for all rows, against one pass through the module by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skattr import AttributeClassifier
from skattr._inputs.rows import FeatureRows, FileRows, ImageRows
from skattr._training import inference
from skattr._training.inference import BatchHalver, predict_rows
from skattr.exceptions import ImageReadError
from skattr.nn import BranchLayout
from tests.tiny_models import tiny, tiny_backbone


@pytest.fixture
def fitted(images, table):
    """Return a classifier of the images."""
    return AttributeClassifier(
        tiny_backbone, image_size=(12, 10), max_epochs=2, random_state=0
    ).fit(images, table)  # fmt: skip


@pytest.fixture
def rows(images):
    """Return the images as rows."""
    return ImageRows(images, (12, 10))


@pytest.mark.parametrize("batch_size", [1, 5, 24, 100])
@pytest.mark.parametrize("output", ["logits", "features"])
def test_outputs_equal_the_module_in_order(fitted, rows, images, output, batch_size):
    """For all batch sizes, outputs equal those of the module in evaluation mode, row by row."""
    result = predict_rows(fitted.net_, rows, output, batch_size=batch_size)
    network = fitted.net_.module_.eval()
    compute = network if output == "logits" else network.forward_features
    with torch.no_grad():
        expected = np.concatenate([compute(torch.from_numpy(one[None])) for one in images])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    assert result.dtype == np.float32
    assert result.flags.writeable


def test_prediction_changes_nothing(fitted, rows):
    """Network and global random state do not change, and the next prediction is equal."""
    state = {key: value.clone() for key, value in fitted.net_.module_.state_dict().items()}
    generator = torch.get_rng_state()
    first = predict_rows(fitted.net_, rows, batch_size=7)
    fitted.net_.module_.train()  # as an interrupted training leaves it
    second = predict_rows(fitted.net_, rows, batch_size=7)
    np.testing.assert_array_equal(first, second)
    after = fitted.net_.module_.state_dict()
    assert all(torch.equal(state[key], after[key]) for key in state)
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_float64_network(rng):
    """A network in float64 gives float64."""
    X = rng.normal(size=(20, 3))
    classifier = AttributeClassifier(max_epochs=1).fit(X, X[:, 0] > 0)
    assert classifier.predict_proba(X).dtype == np.float64
    assert classifier.fit(X.astype(np.float32), X[:, 0] > 0).predict_proba(X).dtype == np.float32


def test_workers_keep_the_order(fitted, files, rows):
    """Files decoded by two processes have the outputs of the images in memory, in order."""
    from_files = predict_rows(
        fitted.net_, FileRows(files, None, (12, 10)), batch_size=5, num_workers=2
    )
    np.testing.assert_array_equal(from_files, predict_rows(fitted.net_, rows, batch_size=5))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_file(fitted, files, num_workers):
    """A file that becomes unreadable after fit is named with its row."""
    Path(files[20]).write_bytes(b"")
    fitted.set_params(images__num_workers=num_workers, batch_size=6)
    with pytest.raises(ImageReadError, match=r"^row 20 of X: cannot read the image") as error:
        fitted.predict(files)
    assert files[20] in str(error.value)


def test_progress_bar(fitted, rows, capsys):
    """A bar over the rows is shown only if requested."""
    predict_rows(fitted.net_, rows, batch_size=8)
    assert capsys.readouterr().err == ""
    predict_rows(fitted.net_, rows, batch_size=8, verbose=1)
    assert "24/24" in capsys.readouterr().err


class WritesToInputs(torch.nn.Module):
    """Zeroes its inputs."""

    def forward(self, x):
        """Return the input, changed in place."""
        return x.mul_(0)


def writing_backbone(n_inputs):
    """Return a network that writes to its input."""
    return WritesToInputs()


def test_prediction_protects_X(rng):
    """A callable's network that writes to its inputs does not write to X."""
    X = rng.normal(size=(24, 3))
    before = X.copy()
    classifier = AttributeClassifier(writing_backbone, max_epochs=1).fit(X, X[:, 0] > 0)
    classifier.predict_proba(X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("size", "batch_size", "device", "loaded", "at_once"),
    [
        ((224, 224), 10, "cpu", 10, 7),
        ((224, 224), 10, "cuda", 40, None),
        ((100, 400), 7, "cpu", 7, 10),
        ((1024, 2048), 50, "cpu", 10, 1),  # a loaded batch has at most 64 MiB
        ((1024, 2048), 2, "cuda", 8, None),
        ((8192, 8192), 50, "cpu", 1, 1),
    ],
)
def test_numbers_of_images(fitted, size, batch_size, device, loaded, at_once):
    """They are bounded by the memory of pixels and, on the CPU, of feature maps."""
    fitted.net_.device = device
    rows = ImageRows(np.empty((1, 2, 2, 3), np.uint8), size)
    assert inference._load_size(fitted.net_, rows, batch_size) == loaded
    assert inference.max_images_at_once(size, torch.device(device)) == at_once


@pytest.mark.parametrize(
    ("n_features", "width", "batch_size", "loaded"),
    [
        (2**10, 2, 10, 2**12),  # 32 MiB of features
        (2, 2**10, 10, 2**15),  # 2**25 hidden units
        (2, 2**10, 10**5, 10**5),
        (0, 2, 10, 2**24),
    ],
)
def test_numbers_of_rows_of_features(n_features, width, batch_size, loaded):
    """They are bounded by the memory of the features and of the hidden units."""
    layout = BranchLayout((2,) * 2)
    module = torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Linear(width, 1))
    module.layout = layout
    rows = FeatureRows(np.empty((5, n_features)))
    net = SimpleNamespace(module_=module, device="cpu")
    assert inference._load_size(net, rows, batch_size) == loaded


class LimitedMemory:
    """Computes batches of up to `most` rows and raises `error` for larger ones."""

    def __init__(self, most, error):
        self.most, self.error, self.sizes = most, error, []

    def __call__(self, x, y):
        """Return 2 x + y."""
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise self.error
        return 2 * x + y


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("most", [1, 3, 8, 100])
def test_out_of_memory_halves_the_batch(error, most):
    """The result is that of the whole batch; later batches start with the size that fitted."""
    limited = LimitedMemory(most, error)
    halver = BatchHalver(limited)
    x, y = torch.arange(20.0), torch.ones(20)
    for _ in range(2):
        assert torch.equal(halver(x, y), 2 * x + y)
    assert max(limited.sizes[len(limited.sizes) // 2 :]) <= max(most, 20 if most > 20 else 0)
    assert halver.max_rows is None or halver.max_rows <= most


def test_other_errors_are_raised():
    """An error is raised if a single row does not fit, or if it is not about memory."""
    for error in [*ERRORS, ValueError("other"), RuntimeError("other")]:
        with pytest.raises(type(error)):
            BatchHalver(LimitedMemory(0, error))(torch.zeros(4), torch.zeros(4))


def test_prediction_continues_with_less_memory(images, monkeypatch):
    """Outputs do not depend on how many rows fit in memory."""
    classifier = tiny().fit(images, np.arange(24) % 3)
    expected = classifier.predict_proba(images)
    forward, sizes = type(classifier.net_.module_).forward, []

    def limited(self, inputs, category=None):
        sizes.append(len(inputs))
        if len(inputs) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, inputs, category)

    monkeypatch.setattr(type(classifier.net_.module_), "forward", limited)
    classifier.net_.set_params(batch_size=24)
    np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-6)
    assert max(sizes) == 24
    assert sum(size for size in sizes if size <= 5) == 24
