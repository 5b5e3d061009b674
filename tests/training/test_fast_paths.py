"""What makes training and prediction fast changes none of their results."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode

from skattr import AttributeClassifier, TrainingOptions
from skattr._inputs.rows import FeatureRows, ImageRows
from skattr._training import TrainingProblem, build_and_train, predict_rows
from skattr._training import inference as inference_module
from skattr._training import loader as batches_module
from skattr._training.dataset import AttributeDataset
from skattr._training.inference import BatchHalver
from skattr._training.loader import BatchLoader
from skattr._training.steps import CallbackDispatcher, LossAccumulator
from skattr.nn import BranchLayout, SummedCrossEntropy
from tests.tiny_models import tiny, tiny_backbone
from tests.training.configs import feature_task, image_task, labels, recipe


class Noted(Callback):
    """Notes what it hears of batches."""

    def __init__(self):
        self.heard = []

    def on_batch_end(self, net, batch, training, loss, y_pred, **_):
        """Note whether a batch trained, its size, and its loss."""
        self.heard.append((training, len(y_pred), float(loss)))

    def on_grad_computed(self, net, named_parameters, **_):
        """Note the norm of the gradients, read twice."""
        norms = [sum(float(p.grad.norm()) for _, p in named_parameters) for _ in range(2)]
        assert norms[0] == norms[1] > 0
        self.heard.append(norms[0])


def test_callbacks_hear_of_batches():
    """Each batch is told of, with its loss and outputs, the gradient before the step."""
    noted = Noted()
    task = feature_task()
    build_and_train(
        recipe(batch_size=16, max_epochs=2, callbacks=[noted]), task, np.arange(32),
        np.arange(32, 40),
    )  # fmt: skip
    trained = [entry for entry in noted.heard if isinstance(entry, tuple) and entry[0]]
    validated = [entry for entry in noted.heard if isinstance(entry, tuple) and not entry[0]]
    assert [size for _, size, _ in trained] == [16] * 4
    assert [size for _, size, _ in validated] == [8] * 2
    assert sum(isinstance(entry, float) for entry in noted.heard) == 4
    assert all(np.isfinite(loss) for _, _, loss in trained + validated)


def test_listeners_are_those_that_listen():
    """A callback that leaves an event to the base class is not told of it."""
    noted, silent = Noted(), Callback()
    listeners = CallbackDispatcher([("noted", noted), ("silent", silent)])
    assert listeners.of("on_batch_end") == [noted.on_batch_end]
    assert listeners.of("on_batch_begin") == []


@pytest.mark.parametrize("wanted", [False, True])
def test_history_of_batches(wanted):
    """A loss per batch is kept if asked for, and is that of the batch."""
    noted = Noted()
    net = build_and_train(
        recipe(
            batch_size=16, max_epochs=2, callbacks=[noted], net_params={"batch_history": wanted}
        ),
        feature_task(), np.arange(32), np.arange(32, 40),
    )  # fmt: skip
    batches = net.history[-1, "batches"]
    if not wanted:
        assert batches == [{}]
        return
    heard = [entry[2] for entry in noted.heard[-5:] if isinstance(entry, tuple)]
    found = [batch.get("train_loss", batch.get("valid_loss")) for batch in batches]
    assert found == heard


def test_sums_of_an_epoch():
    """However many batches there are, the sums are theirs, and few tensors are held."""
    sums = LossAccumulator()
    values = torch.arange(3000, dtype=torch.float64).view(-1, 3)
    for row in values:
        sums.add(row, 2 * row)
    assert torch.equal(torch.stack(sums.sums), torch.stack([values.sum(0), 2 * values.sum(0)]))
    assert len(sums._parts) <= 256


class Waits(TorchDispatchMode):
    """Counts what would wait for a device: a tensor turned into a number."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count and run an operation."""
        self.count += "_local_scalar_dense" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("augment", [None, "strong"])
def test_nothing_waits_within_an_epoch(augment):
    """Numbers are asked of the device once an epoch, however many batches it has."""
    counts = []
    for batch_size in (12, 4):
        with Waits() as waits:
            tiny(
                augment=augment, batch_size=batch_size, training=TrainingOptions(ema_decay=0.9)
            ).fit(np.zeros((24, 12, 10, 3), dtype=np.uint8), np.arange(24) % 2)
        counts.append(waits.count)
    assert counts[0] == counts[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own modules
def test_a_short_last_batch_is_not_compiled_for():
    """One graph is compiled in training and one in validation, whatever batches are left over."""
    compiler = CompileCounter()
    net = build_and_train(
        recipe(
            batch_size=16, compile=True, max_epochs=3, net_params={"compile__backend": compiler}
        ),
        feature_task(n=78), np.arange(40), np.arange(40, 78),
    )  # fmt: skip
    plain = build_and_train(
        recipe(batch_size=16, max_epochs=3), feature_task(n=78), np.arange(40), np.arange(40, 78)
    )
    assert compiler.frame_count == 2
    np.testing.assert_allclose(net.history[:, "train_loss"], plain.history[:, "train_loss"])
    np.testing.assert_allclose(net.history[:, "valid_loss"], plain.history[:, "valid_loss"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own modules
def test_parts_of_a_batch_are_compiled():
    """The parts of a batch run compiled, as whole batches do."""
    compiler = CompileCounter()
    params = {"compile__backend": compiler, "accumulate": 4}
    build_and_train(
        recipe(batch_size=16, compile=True, net_params=params), feature_task(), np.arange(40)
    )
    assert compiler.frame_count == 1


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_fused_steps_are_the_same_steps(optimizer):
    """The optimizer in one kernel learns what torch's plain one learns."""
    task, params = feature_task(), {"optimizer": optimizer, "lr": 0.01}
    fused = build_and_train(recipe(**params), task, np.arange(40))
    assert fused.optimizer_.defaults["fused"]
    plain = build_and_train(
        recipe(net_params={"optimizer__foreach": False}, **params), task, np.arange(40)
    )
    assert not plain.optimizer_.defaults["fused"]
    for one, other in zip(fused.module_.parameters(), plain.module_.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_arrays_that_may_not_be_written_to(rng):
    """Memory maps of joblib train as other arrays do, without a warning."""
    X = rng.normal(size=(24, 3)).astype(np.float32)
    frozen = X.copy()
    frozen.flags.writeable = False
    indices = np.arange(24)[::-1]
    batches = [
        list(BatchLoader(AttributeDataset(FeatureRows(array), indices), 5))
        for array in (X, frozen, X[::-1][::-1], np.asfortranarray(X))
    ]
    for other in batches[1:]:
        assert all(torch.equal(a, b) for a, b in zip(batches[0], other, strict=True))
    y = X[:, 0] > 0
    fits = [AttributeClassifier(random_state=0, max_epochs=2).fit(one, y) for one in (X, frozen)]
    np.testing.assert_array_equal(fits[0].predict_proba(frozen), fits[1].predict_proba(X))


def test_a_shared_batch_is_a_view(rng):
    """Only where it was allowed, and where rows stand together."""
    X = rng.normal(size=(24, 3))
    dataset = AttributeDataset(FeatureRows(X), np.arange(24), may_share=True)
    assert all(np.shares_memory(batch.numpy(), X) for batch in BatchLoader(dataset, 7))
    np.testing.assert_array_equal(torch.cat(list(BatchLoader(dataset, 7))), X)
    order = np.array([3, 1, 2, 9])
    apart = AttributeDataset(FeatureRows(X), order, may_share=True)
    (batch,) = BatchLoader(apart, 7)
    assert not np.shares_memory(batch.numpy(), X)
    np.testing.assert_array_equal(batch, X[order])


@pytest.mark.parametrize("together", [0.01, 0.3, 1, 2, 3, 99])
@pytest.mark.parametrize("with_category", [False, True])
def test_memory_is_reused(images, monkeypatch, together, with_category):
    """However many batches are fetched at once, they are the same ones, short last ones too."""
    monkeypatch.setattr(batches_module, "_BYTES_TOGETHER", int(together * 5 * 12 * 10 * 3))
    category = np.arange(24) if with_category else None
    targets = np.arange(48).reshape(24, 2), np.ones((24, 2))
    dataset = AttributeDataset(ImageRows(images, (12, 10)), np.arange(24), *targets, category)
    loaders = [
        BatchLoader(dataset, 5, torch.Generator().manual_seed(0), reuse_memory=is_reused)
        for is_reused in (False, True)
    ]
    places = set()
    for _ in range(2):
        for expected, found in zip(*(loader.read() for loader in loaders), strict=True):
            np.testing.assert_array_equal(found.indices, expected.indices)
            for one, other in zip(tensors_in(found.batch), tensors_in(expected.batch), strict=True):
                assert torch.equal(one, other)
            places.add(tensors_in(found.batch)[0].untyped_storage().data_ptr())
    assert len(places) == 1


@pytest.mark.parametrize("is_reused", [False, True])
@pytest.mark.parametrize("size", [(112, 112), (111, 112), (105, 105)])  # 8 bytes fit in two
def test_large_images_are_fetched_as_they_are(rng, is_reused, size):
    """Whatever a row's length and place in memory."""
    X = rng.integers(256, size=(10, *size, 3), dtype=np.uint8)
    n_bytes = X[0].size
    odd = np.empty(10 * n_bytes + 1, dtype=np.uint8)[1:].reshape(X.shape)
    odd[:] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    every_other = np.repeat(X, 2, axis=0)[::2]
    mirrored = X[:, :, ::-1].copy()[:, :, ::-1]
    for array in (X, odd, frozen, every_other, mirrored):
        dataset = AttributeDataset(
            ImageRows(array, size), np.arange(10), X[:, :2, 0, 0], X[:, 0, 0]
        )
        loader = BatchLoader(dataset, 4, torch.Generator().manual_seed(0), reuse_memory=is_reused)
        found = [
            (part.indices, part.batch[0].numpy().copy(), part.batch[1][0].numpy().copy())
            for part in loader.read()
        ]
        assert sorted(np.concatenate([rows for rows, _, _ in found])) == list(range(10))
        for rows, images, codes in found:
            np.testing.assert_array_equal(images, X[rows])
            np.testing.assert_array_equal(codes, X[rows, :2, 0, 0])


def test_a_single_wide_row_of_a_wider_table(rng):
    """Torch takes any stride of a single row for contiguous."""
    wide = rng.normal(size=(6, 40_001)).astype(np.float32)
    row = FeatureRows(wide[:1, :40_000])
    (batch,) = BatchLoader(AttributeDataset(row, np.arange(1)), 4)
    np.testing.assert_array_equal(batch, wide[:1, :40_000])


def test_features_in_records(rng):
    """A field of a packed structured array has strides that torch has no tensors of."""
    records = np.zeros(20, np.dtype([("x", np.float64, 4), ("y", np.uint8)]))
    records["x"], records["y"] = rng.normal(size=(20, 4)), np.arange(20) % 2
    one, other = (
        AttributeClassifier(max_epochs=2, random_state=0).fit(X, records["y"]).predict_proba(X)
        for X in (records["x"], records["x"].copy())
    )
    np.testing.assert_array_equal(one, other)


def tensors_in(batch):
    """Return all tensors of a batch of any form."""
    if isinstance(batch, torch.Tensor):
        return [batch]
    return [tensor for part in batch for tensor in tensors_in(part)]


class Holds(Callback):
    """Keeps all batches."""

    def __init__(self):
        self.batches = []

    def on_batch_end(self, net, batch, training, **_):
        """Keep a batch."""
        self.batches.append(batch[0])


@pytest.mark.parametrize("held", [False, True])
def test_batches_that_somebody_holds_are_their_own(images, held):
    """A callback may keep batches; without it, and with it, the same is learned."""
    holds = Holds()
    params = {"batch_size": 8, "backbone": "resnet18", "max_epochs": 1}
    net = build_and_train(
        recipe(callbacks=[holds] if held else None, lr_schedule="onecycle", **params),
        image_task(), np.arange(24),
    )  # fmt: skip
    if held:
        rows = np.concatenate([batch.numpy() for batch in holds.batches])
        assert len(np.unique(rows.reshape(24, -1), axis=0)) == 24
    other = build_and_train(
        recipe(callbacks=[Noted()], **params, lr_schedule="onecycle"), image_task(), np.arange(24)
    )
    for one, same in zip(net.module_.parameters(), other.module_.parameters(), strict=True):
        assert torch.equal(one, same)


class Keeps(SummedCrossEntropy):
    """A loss of the user's that keeps what it is given."""

    kept = []

    def label_losses(self, cross_entropies, codes, block):
        """Keep the codes, and what they are at the moment."""
        self.kept.append((codes, codes.clone()))
        return cross_entropies


def test_labels_that_a_loss_holds_are_its_own(rng):
    """The memory of labels is not used again under somebody's hands."""
    Keeps.kept.clear()
    classifier = AttributeClassifier(max_epochs=2, loss=Keeps, batch_size=8, random_state=0)
    classifier.fit(rng.normal(size=(100, 3)), rng.integers(0, 2, (100, 2)))
    assert len(Keeps.kept) == 26
    assert all(torch.equal(codes, copy) for codes, copy in Keeps.kept)


class WritesToInputs(torch.nn.Module):
    """Zeroes what it is given."""

    def forward(self, x):
        """Return the input, changed in place."""
        return x.mul_(0)


def writing_backbone(n_inputs):
    """Return a network that writes to its input."""
    return WritesToInputs()


def test_prediction_protects_X(rng):
    """A network of the user's own that writes to its inputs does not write to X."""
    X = rng.normal(size=(24, 3))
    before = X.copy()
    classifier = AttributeClassifier(writing_backbone, max_epochs=1).fit(X, X[:, 0] > 0)
    classifier.predict_proba(X)
    np.testing.assert_array_equal(X, before)


class Small:
    """Doubles batches of up to so many rows, and has no memory for larger ones."""

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
    """The result is that of the whole batch; later batches begin with what has fitted."""
    small = Small(most, error)
    halving = BatchHalver(small)
    x, y = torch.arange(20.0), torch.ones(20)
    for _ in range(2):
        assert torch.equal(halving(x, y), 2 * x + y)
    assert max(small.sizes[len(small.sizes) // 2 :]) <= max(most, 20 if most > 20 else 0)
    assert halving.most is None or halving.most <= most


def test_no_memory_for_a_single_row():
    """Then, and for any other error, the error is raised."""
    for error in [*ERRORS, ValueError("other"), RuntimeError("other")]:
        with pytest.raises(type(error)):
            BatchHalver(Small(0, error))(torch.zeros(4), torch.zeros(4))


def test_prediction_goes_on_with_less_memory(images, monkeypatch):
    """Outputs of a network that has memory for few rows are those of the network."""
    classifier = tiny().fit(images, np.arange(24) % 3)
    expected = classifier.predict_proba(images)
    forward, sizes = type(classifier.net_.module_).forward, []

    def limited(self, inputs, category=None):
        sizes.append(len(inputs))
        if len(inputs) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, inputs, category)

    monkeypatch.setattr(type(classifier.net_.module_), "forward", limited)
    classifier.set_params(batch_size=24)
    np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-6)
    assert max(sizes) == 24
    assert sum(size for size in sizes if size <= 5) == 24


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("with_category", [False, True])
def test_folding_changes_no_output(images, monkeypatch, precision, with_category):
    """Outputs of the folded copy are those of the network, which stays as it was."""
    category = np.arange(24) % 3
    task = image_task(category=category, n_conditions=3) if with_category else image_task()
    net = build_and_train(recipe(backbone="resnet18", precision=precision), task, np.arange(24))
    before = {key: value.clone() for key, value in net.module_.state_dict().items()}
    rows = ImageRows(images, (12, 10))
    if not with_category:
        assert _own_networks_are_not_copied(task, rows)
    given = {"batch_size": 8, "category": category if with_category else None}
    folds = []
    original = inference_module.folded
    monkeypatch.setattr(
        inference_module, "folded", lambda *args: folds.append(original(*args)) or folds[-1]
    )
    for output in ("logits", "features"):
        plain = predict_rows(net, rows, output, **given)
        with monkeypatch.context() as patch:
            patch.setattr(inference_module, "_PIXELS_TO_FOLD", 0)
            quick = predict_rows(net, rows, output, **given)
        tolerance = 1e-12 if precision == "float64" else 2e-5
        np.testing.assert_allclose(quick, plain, rtol=0, atol=tolerance * np.abs(plain).max())
    assert len(folds) == 2
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folds[0].modules())
    after = net.module_.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def _own_networks_are_not_copied(task, rows):
    """Whether a network of the user's own is run as it is."""
    net = build_and_train(recipe(backbone=tiny_backbone), task, np.arange(24))
    return inference_module._for_inference(net, rows, 10**9, False) is net.module_


def test_labels_are_arranged_once(monkeypatch):
    """Every batch of a fit is spared what does not depend on the batch."""
    task = TrainingProblem(FeatureRows(np.zeros((40, 2))), BranchLayout((3, 2, 2)), *labels(40))
    kinds = []
    original = task.criterion.arranged

    def noted(self, codes, weights):
        kinds.append(len(codes))
        return original(self, codes, weights)

    monkeypatch.setattr(task.criterion, "arranged", noted)
    build_and_train(recipe(batch_size=8), task, np.arange(32), np.arange(32, 40))
    assert kinds == [40, 40]


class SameLoss(SummedCrossEntropy):
    """The same loss, whose gradient autograd computes."""


@pytest.mark.parametrize("params", [{}, {"accumulate": 3}, {"clip_norm": 0.01}], ids=str)
def test_the_gradient_of_the_loss_itself(params):
    """A network learns the same whether or not autograd differentiates the loss."""
    rng = np.random.default_rng(0)
    codes, weights = rng.integers(-1, 2, size=(40, 3)), rng.random((40, 3))
    rows = FeatureRows(rng.normal(size=(40, 4)))
    states, losses = [], []
    for criterion in (SummedCrossEntropy, SameLoss):
        task = TrainingProblem(rows, BranchLayout((2, 2, 2)), codes, weights, criterion=criterion)
        net = build_and_train(recipe(batch_size=8, net_params=params), task, np.arange(40))
        states.append(net.module_.state_dict())
        losses.append(net.history[:, "train_loss"])
    np.testing.assert_allclose(*losses, rtol=1e-12)
    for name, values in states[0].items():
        torch.testing.assert_close(values, states[1][name], rtol=1e-9, atol=1e-12)
