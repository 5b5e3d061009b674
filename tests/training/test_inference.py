"""Outputs for all rows against one pass through the module by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from skattr import AttributeClassifier
from skattr._inputs.rows import FileRows, ImageRows
from skattr._training import predict_rows
from skattr.exceptions import ImageReadError
from tests.tiny_models import tiny_backbone


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
def test_outputs_are_the_modules_in_order(fitted, rows, images, output, batch_size):
    """However they are batched, outputs are those of the module in evaluation, row by row."""
    result = predict_rows(fitted.net_, rows, output, batch_size=batch_size)
    network = fitted.net_.module_.eval()
    compute = network if output == "logits" else network.forward_features
    with torch.no_grad():
        expected = np.concatenate([compute(torch.from_numpy(one[None])) for one in images])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    assert result.dtype == np.float32
    assert result.flags.writeable


def test_prediction_changes_nothing(fitted, rows):
    """The network and the global random state are as before, and the next prediction is equal."""
    state = {key: value.clone() for key, value in fitted.net_.module_.state_dict().items()}
    generator = torch.get_rng_state()
    first = predict_rows(fitted.net_, rows, batch_size=7)
    fitted.net_.module_.train()  # as a training that was broken off leaves it
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
    """Files decoded by two processes give what the images in memory give, in order."""
    from_files = predict_rows(
        fitted.net_, FileRows(files, None, (12, 10)), batch_size=5, num_workers=2
    )
    np.testing.assert_array_equal(from_files, predict_rows(fitted.net_, rows, batch_size=5))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_file(fitted, files, num_workers):
    """A file that breaks between fit and predict is named with its row."""
    Path(files[20]).write_bytes(b"")
    fitted.set_params(images__num_workers=num_workers, batch_size=6)
    with pytest.raises(ImageReadError, match=r"^row 20 of X: cannot read the image") as error:
        fitted.predict(files)
    assert files[20] in str(error.value)


def test_progress_bar(fitted, rows, capsys):
    """A bar over the rows is shown if asked for, nothing otherwise."""
    predict_rows(fitted.net_, rows, batch_size=8)
    assert capsys.readouterr().err == ""
    predict_rows(fitted.net_, rows, batch_size=8, verbose=1)
    assert "24/24" in capsys.readouterr().err
