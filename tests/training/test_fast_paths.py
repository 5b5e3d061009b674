"""Faster ways to train and predict do not change results."""

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode

from skattr import AttributeClassifier, TrainingOptions
from skattr._inputs.rows import FeatureRows, ImageRows
from skattr._training import inference as inference_module
from skattr._training.build import build_and_train
from skattr._training.inference import predict_rows
from tests.tiny_models import tiny, tiny_backbone
from tests.training.configs import config, feature_problem, image_problem


class Waits(TorchDispatchMode):
    """Counts conversions of a tensor to a number, each of which waits for the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count and run an operation."""
        self.count += "_local_scalar_dense" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("augment", [None, "strong"])
def test_no_batch_waits_for_the_device(augment):
    """Numbers are read from the device per epoch, however many batches it has."""
    counts = []
    for batch_size in (12, 4):
        with Waits() as waits:
            tiny(
                augment=augment, batch_size=batch_size, training=TrainingOptions(ema_decay=0.9)
            ).fit(np.zeros((24, 12, 10, 3), dtype=np.uint8), np.arange(24) % 2)
        counts.append(waits.count)
    assert counts[0] == counts[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised in modules of the compiler
def test_a_short_last_batch_is_not_compiled():
    """One graph is compiled in training and one in validation, whatever the last batches."""
    compiler = CompileCounter()
    net = build_and_train(
        config(
            batch_size=16, compile=True, max_epochs=3, net_params={"compile__backend": compiler}
        ),
        feature_problem(n=78), np.arange(40), np.arange(40, 78),
    )  # fmt: skip
    plain = build_and_train(
        config(batch_size=16, max_epochs=3), feature_problem(n=78), np.arange(40), np.arange(40, 78)
    )
    assert compiler.frame_count == 2
    np.testing.assert_allclose(net.history[:, "train_loss"], plain.history[:, "train_loss"])
    np.testing.assert_allclose(net.history[:, "valid_loss"], plain.history[:, "valid_loss"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised in modules of the compiler
def test_few_rows_are_predicted_without_compiling():
    """Predictions of one, two and other numbers of rows equal those of all, and compile nothing."""
    compiler = CompileCounter()
    problem = feature_problem(n=48)
    net = build_and_train(
        config(batch_size=16, compile=True, net_params={"compile__backend": compiler}),
        problem, np.arange(48),
    )  # fmt: skip
    n_before, X = compiler.frame_count, problem.rows.array
    expected = predict_rows(net, problem.rows, batch_size=16)
    for n in (1, 2, 3, 17):
        found = predict_rows(net, FeatureRows(X[:n]), batch_size=16)
        np.testing.assert_allclose(found, expected[:n])
    assert n_before == compiler.frame_count == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised in modules of the compiler
def test_parts_of_a_batch_are_compiled():
    """Parts of a batch run compiled like whole batches."""
    compiler = CompileCounter()
    settings = config(
        batch_size=16, compile=True, accumulate=4, net_params={"compile__backend": compiler}
    )
    build_and_train(settings, feature_problem(), np.arange(40))
    assert compiler.frame_count == 1


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_fused_steps_equal_plain_steps(optimizer):
    """The fused optimizer learns what torch's plain one learns."""
    problem, params = feature_problem(), {"optimizer": optimizer, "lr": 0.01}
    fused = build_and_train(config(**params), problem, np.arange(40))
    assert fused.optimizer_.defaults["fused"]
    plain = build_and_train(
        config(net_params={"optimizer__foreach": False}, **params), problem, np.arange(40)
    )
    assert not plain.optimizer_.defaults["fused"]
    for one, other in zip(fused.module_.parameters(), plain.module_.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_features_in_records(rng):
    """A field of a packed structured array, whose strides no tensor can have, is accepted."""
    records = np.zeros(20, np.dtype([("x", np.float64, 4), ("y", np.uint8)]))
    records["x"], records["y"] = rng.normal(size=(20, 4)), np.arange(20) % 2
    one, other = (
        AttributeClassifier(max_epochs=2, random_state=0).fit(X, records["y"]).predict_proba(X)
        for X in (records["x"], records["x"].copy())
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("with_category", [False, True])
def test_folding_changes_no_output(images, monkeypatch, precision, with_category):
    """Outputs of the folded copy are those of the network, which stays as it was."""
    category = np.arange(24) % 3
    problem = image_problem(category=category, n_conditions=3) if with_category else image_problem()
    net = build_and_train(config(backbone="resnet18", precision=precision), problem, np.arange(24))
    before = {key: value.clone() for key, value in net.module_.state_dict().items()}
    rows = ImageRows(images, (12, 10))
    if not with_category:
        assert _own_networks_are_not_copied(problem, rows)
    given = {"batch_size": 8, "category": category if with_category else None}
    folds = []
    original = inference_module.with_folded_batchnorm
    monkeypatch.setattr(
        inference_module,
        "with_folded_batchnorm",
        lambda *args: folds.append(original(*args)) or folds[-1],
    )
    for output in ("logits", "features"):
        plain = predict_rows(net, rows, output, **given)
        with monkeypatch.context() as patch:
            patch.setattr(inference_module, "_MIN_PIXELS_TO_FOLD", 0)
            quick = predict_rows(net, rows, output, **given)
        tolerance = 1e-12 if precision == "float64" else 2e-5
        np.testing.assert_allclose(quick, plain, rtol=0, atol=tolerance * np.abs(plain).max())
    assert len(folds) == 2
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folds[0].modules())
    after = net.module_.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def _own_networks_are_not_copied(problem, rows):
    """Whether the network of a callable is used unchanged."""
    net = build_and_train(config(backbone=tiny_backbone), problem, np.arange(24))
    return inference_module._for_inference(net, rows, 10**9) is net.module_
