"""Time `fit` against hand-written training loops and against skorch's defaults.

    python benchmarks/bench_training.py    # --only images|binary|mixed, --runs, --quick

`AttributeClassifier.fit`, the whole call with its checks of X and y, against loops of the same
network, data, optimizer (fused AdamW) and schedule (one-cycle, stepped per batch), which start from
the same arrays and end with a trained network. A tenth of the labels is missing.

images
    ResNet-18 on 2,000 uint8 images of 64x64 in batches of 64, 2 epochs, 8 attributes of 2 to 5
    classes. The hand-written loop runs on contiguous and on channels_last images; the faster one
    counts. The aim is a ratio of 1.03.
binary
    A linear map of 20,480 x 512 float32 features in batches of 256, 10 epochs, 40 attributes of
    two classes. One loop by hand is `torch.nn.Linear` with one binary cross-entropy for all
    attributes, one uses the network and the loss of this package. The aim is 1.15.
mixed
    The same with 20 attributes of two classes and 20 of 3 to 10, in the loop by hand a
    cross-entropy each.

skorch's `NeuralNet` is run with its defaults: a Dataset of single rows, and its own callbacks, but
without a validation split. Losses and accuracies are those of the trained networks on the known
training labels, mean over attributes: the ways are only compared if they learn the same. The limit
of a fit is the time of its products and convolutions, or of its memory traffic if that is longer:
rows and labels are read once an epoch, parameters, gradients and Adam's two moments are read or
written eight times a step.
"""

from functools import partial

import numpy as np
import torch
import torchvision
from measure import Limits, interleaved, parser, table, write
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.flop_counter import FlopCounterMode

from skattr import AttributeClassifier
from skattr.nn import BranchLayout, SummedCrossEntropy
from skattr.nn._backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD
from skattr.nn._model import MultiBranchNetwork

# Classes per attribute, in ascending order: that of the logits in a BranchLayout.
IMAGES = (2, 2, 2, 2, 3, 3, 4, 5)
BINARY = (2,) * 40
MIXED = (2,) * 20 + tuple(sorted((*range(3, 11), *range(3, 11), 3, 5, 7, 10)))
WEIGHT_DECAY = 0.01
MISSING = 0.1  # share of the labels
TOLERANCE = 0.02  # of accuracies


def make_features(n, n_classes, rng, n_features=512):
    """Return features and noisy labels that depend on them, NaN where missing."""
    X = rng.standard_normal((n, n_features), dtype=np.float32)
    y = np.empty((n, len(n_classes)))
    for j, count in enumerate(n_classes):
        maps = rng.standard_normal((n_features, count), dtype=np.float32) / np.sqrt(n_features)
        y[:, j] = (2 * X @ maps + rng.gumbel(size=(n, count))).argmax(axis=1)
    y[rng.random(y.shape) < MISSING] = np.nan
    return X, y


def make_images(n, n_classes, rng, side=64):
    """Return noise that is brighter in an attribute's strip of the image, class by class."""
    codes = np.stack([rng.integers(count, size=n) for count in n_classes], axis=1)
    X = rng.integers(120, size=(n, side, side, 3), dtype=np.uint8)
    brightness = (codes * 135 // (np.array(n_classes) - 1)).astype(np.uint8)
    strips = np.arange(side) * len(n_classes) // side
    X += brightness[:, strips][:, :, np.newaxis, np.newaxis]
    y = codes.astype(np.float64)
    y[rng.random(y.shape) < MISSING] = np.nan
    return X, y


class HandResNet(nn.Module):
    """torchvision's ResNet-18 on images that are normalized beforehand."""

    def __init__(self, n_logits, channels_last=True):
        super().__init__()
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.body = torchvision.models.resnet18(num_classes=n_logits)
        self.body.to(memory_format=self.layout)

    def forward(self, pixels):
        """Map uint8 images (n, H, W, 3) to logits."""
        pixels = torch.addcmul(self.shift, pixels.float(), self.scale).permute(0, 3, 1, 2)
        return self.body(pixels.contiguous(memory_format=self.layout))


def widths_of(n_classes):
    """Return the number of logits of each attribute: one for two classes."""
    return [1 if count == 2 else count for count in n_classes]


def summed_loss(logits, present, known, codes, n_classes):
    """Return the sum of the mean losses of all attributes; those of two classes come first."""
    n_binary = n_classes.count(2)
    loss = n_binary * functional.binary_cross_entropy_with_logits(
        logits[:, :n_binary], present, weight=known
    )
    parts = logits[:, n_binary:].split(n_classes[n_binary:], dim=1)
    for part, column in zip(parts, codes.unbind(1), strict=True):
        loss = loss + functional.cross_entropy(part, column, ignore_index=-1)
    return loss


def binary_loss(logits, present, known):
    """Return the mean loss of labels of two classes."""
    return functional.binary_cross_entropy_with_logits(logits, present, weight=known)


class SkorchLoss(nn.Module):
    """The summed loss of labels in one matrix, NaN where missing."""

    def __init__(self, n_classes):
        super().__init__()
        self.n_classes = n_classes

    def forward(self, logits, y):
        """Return the loss, a scalar."""
        n_binary = self.n_classes.count(2)
        codes = y[:, n_binary:].nan_to_num(-1).long()
        y = y[:, :n_binary]
        known = (~y.isnan()).to(logits.dtype)
        return summed_loss(logits, y.nan_to_num(0), known, codes, self.n_classes)


def train(network, loss_of, tensors, settings):
    """Train a network on rows of `tensors`, the first of which are its inputs, and return it."""
    n, batch_size, max_epochs = len(tensors[0]), settings["batch_size"], settings["max_epochs"]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings["lr"], weight_decay=WEIGHT_DECAY, fused=True
    )
    n_steps = max_epochs * -(-n // batch_size)
    schedule = OneCycleLR(optimizer, max_lr=settings["lr"], total_steps=n_steps)
    generator = torch.Generator().manual_seed(0)
    history = []
    network.train()
    for _ in range(max_epochs):
        total = torch.zeros(())
        for rows in torch.randperm(n, generator=generator).split(batch_size):
            inputs, *targets = (tensor.index_select(0, rows) for tensor in tensors)
            loss = loss_of(network(inputs), *targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        history.append(total.item())  # `fit` records it as well
    return network


def tensors_of(X, y, n_classes):
    """Return X, the binary labels and their mask, and the codes of the other labels."""
    n_binary = n_classes.count(2)
    known = ~np.isnan(y)
    y = np.where(known, y, -1)
    binary = torch.from_numpy(y[:, :n_binary]).float().clamp_(min=0)
    mask = torch.from_numpy(known[:, :n_binary]).float()
    codes = torch.from_numpy(y[:, n_binary:]).long()
    return torch.from_numpy(X), binary, mask, codes


def by_hand(X, y, n_classes, settings, make_network):
    """Train a network by a hand-written loop."""
    tensors, loss_of = tensors_of(X, y, n_classes), partial(summed_loss, n_classes=n_classes)
    if set(n_classes) == {2}:
        tensors, loss_of = tensors[:3], binary_loss
    return train(make_network(sum(widths_of(n_classes))), loss_of, tensors, settings)


def by_hand_with_our_modules(X, y, n_classes, settings):
    """Train the network and the loss of this package on features in the loop by hand."""
    layout = BranchLayout(n_classes)
    network = MultiBranchNetwork("linear", layout, n_inputs=X.shape[1])
    known = ~np.isnan(y)
    codes = torch.from_numpy(np.where(known, y, -1).astype(np.int64))
    weights = torch.from_numpy(known.astype(np.float32))
    tensors = torch.from_numpy(X), codes, weights
    return train(network, SummedCrossEntropy(layout), tensors, settings)


def by_skorch(X, y, n_classes, settings, make_network):
    """Train a network with skorch's defaults but for the split."""
    n_steps = settings["max_epochs"] * -(-len(X) // settings["batch_size"])
    schedule = LRScheduler(
        policy=OneCycleLR, max_lr=settings["lr"], total_steps=n_steps, step_every="batch"
    )
    net = NeuralNet(
        make_network,
        module__n_logits=sum(widths_of(n_classes)),
        criterion=SkorchLoss,
        criterion__n_classes=n_classes,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=WEIGHT_DECAY,
        optimizer__fused=True,
        **settings,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[("schedule", schedule)],
        verbose=0,
    )
    return net.fit(X, y.astype(np.float32)).module_


def logits_of(network, X):
    """Return the logits of all rows of X."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(torch.from_numpy(part)) for part in np.split(X, [len(X) // 2])])


def probabilities_of(logits, n_classes):
    """Return arrays (n, n_classes), one per attribute, of logits in the order of attributes."""
    result = []
    for part in logits.split(widths_of(n_classes), dim=1):
        if part.shape[1] == 1:
            shares = torch.cat([torch.sigmoid(-part), torch.sigmoid(part)], dim=1)
        else:
            shares = part.softmax(dim=1)
        result.append(shares.numpy())
    return result


def learned(fitted, X, y, n_classes):
    """Return loss and accuracy on the known labels, mean over attributes."""
    if isinstance(fitted, AttributeClassifier):
        probas = fitted.predict_proba(X)
    else:
        probas = probabilities_of(logits_of(fitted, X), n_classes)
    losses, accuracies = [], []
    for column, proba in zip(y.T, probas, strict=True):
        rows = np.flatnonzero(~np.isnan(column))
        codes = column[rows].astype(int)
        losses.append(-np.log(np.maximum(proba[rows, codes], 1e-30)).mean())
        accuracies.append((proba[rows].argmax(axis=1) == codes).mean())
    return float(np.mean(losses)), float(np.mean(accuracies))


def ways_of(name, X, y, n_classes, settings):
    """Return the functions to compare, each of which returns a trained network."""
    data = X, y, n_classes, settings
    classifier = AttributeClassifier(
        image_size=X.shape[1:3] if name == "images" else 224,
        weight_decay=WEIGHT_DECAY,
        device="cpu",
        random_state=0,
        **settings,
    )
    ways = {"fit": lambda: classifier.fit(X, y)}
    if name == "images":
        ways["by hand, contiguous"] = partial(by_hand, *data, partial(HandResNet, channels_last=0))
        ways["by hand, channels_last"] = partial(by_hand, *data, HandResNet)
        ways["skorch's defaults"] = partial(by_skorch, *data, HandResNet)
    else:
        ways["by hand"] = partial(by_hand, *data, partial(nn.Linear, X.shape[1]))
        ways["by hand, our modules"] = partial(by_hand_with_our_modules, *data)
        ways["skorch's defaults"] = partial(by_skorch, *data, partial(linear, X.shape[1]))
    return ways


def linear(n_features, n_logits):
    """Return a linear map; skorch passes its width by name."""
    return nn.Linear(n_features, n_logits)


def work_of(name, X, y, n_classes, settings):
    """Return operations and bytes of a fit."""
    n_logits, batch_size = sum(widths_of(n_classes)), settings["batch_size"]
    network = HandResNet(n_logits) if name == "images" else nn.Linear(X.shape[1], n_logits)
    with FlopCounterMode(display=False) as counter:
        network(torch.from_numpy(X[:batch_size])).sum().backward()
    n_steps = settings["max_epochs"] * -(-len(X) // batch_size)
    n_rows = settings["max_epochs"] * len(X)
    per_row = X[0].nbytes + y.shape[1] * (8 + 4)  # int64 codes, float32 weights
    parameters = 4 * sum(parameter.numel() for parameter in network.parameters())
    operations = counter.get_total_flops() / min(batch_size, len(X)) * n_rows
    return operations, n_rows * per_row + n_steps * 8 * parameters


def compare(name, options, limits):
    """Return the rows of a case, and its limit."""
    rng = np.random.default_rng(0)
    n_classes = {"images": IMAGES, "binary": BINARY, "mixed": MIXED}[name]
    if name == "images":
        X, y = make_images(96 if options.quick else 2000, n_classes, rng)
        settings = {"batch_size": 64, "max_epochs": 2, "lr": 1e-3}
    else:
        X, y = make_features(2048 if options.quick else 20_480, n_classes, rng)
        settings = {"batch_size": 256, "max_epochs": 10, "lr": 1e-2}
    fitted = {}

    def keeping(way, function):
        fitted[way] = function()

    ways = ways_of(name, X, y, n_classes, settings)
    runs = {way: partial(keeping, way, function) for way, function in ways.items()}
    warmups = 0 if name == "images" else 1  # images take long, and a median ignores one slow run
    seconds = interleaved(runs, options.runs, warmups)
    hand = min(taken for way, taken in seconds.items() if way.startswith("by hand"))
    rows = []
    for way, taken in seconds.items():
        loss, accuracy = learned(fitted[way], X, y, n_classes)
        rows.append(
            {
                "case": name,
                "way": way,
                "seconds": taken,
                "fit / way": seconds["fit"] / taken,
                "way / fastest by hand": taken / hand,
                "loss": loss,
                "accuracy": accuracy,
            }
        )
    accuracies = [row["accuracy"] for row in rows]
    if not options.quick and max(accuracies) - min(accuracies) > TOLERANCE:
        raise RuntimeError(f"The ways did not learn the same:\n{table(rows)}")
    operations, n_bytes = work_of(name, X, y, n_classes, settings)
    least = limits.seconds(operations, n_bytes)
    limit = {"case": name, "operations": operations, "bytes": float(n_bytes), "limit": least}
    return rows, limit | {"fit / limit": seconds["fit"] / least, "by hand / limit": hand / least}


def main():
    """Run the cases and write the results."""
    arguments = parser(__doc__)
    arguments.add_argument("--quick", action="store_true", help="small data, as a smoke test")
    arguments.add_argument("--only", choices=("images", "binary", "mixed"))
    options = arguments.parse_args()
    names = [options.only] if options.only else ["images", "binary", "mixed"]
    limits = Limits()
    parts = [compare(name, options, limits) for name in names]
    at_the_limit = [limit for _, limit in parts]
    write("training", [row for rows, _ in parts for row in rows], limits=at_the_limit)
    print(f"\nlimits at {limits}\n{table(at_the_limit)}")


if __name__ == "__main__":
    main()
