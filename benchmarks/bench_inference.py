"""Time `predict_proba` against a bare loop over the same network, and against skorch's.

    python benchmarks/bench_inference.py    # --only 64|224|features, --runs, --quick

`predict_proba`, the whole call with its check of X, against a hand-written loop in
`torch.inference_mode()` with the same trained network and the same array.

images of 64, images of 224
    ResNet-18 on uint8 images and 8 attributes of 2 to 5 classes. By hand: batches of 64, the
    logits concatenated, a sigmoid or softmax for each attribute; with our network, whose maps are
    in channels_last, and with the same weights in torch's standard layout ("contiguous"), as
    torchvision builds it. The aim is a ratio of 1 at 64, and 1.35 times the speed at 224.
features
    A linear map of 20,000 x 512 float32 features to 40 attributes of two classes. By hand: the
    product, the bias and the sigmoid, in one call and in batches of 256, whose result is one
    matrix. The aim is 1.5 times the faster one.

skorch's `NeuralNet` predicts with its defaults and the same network, for features in batches of 32
and of 256. All probabilities must equal those of the hand-written loop within 1e-5. The limit is
the time of products and convolutions, or of reading or writing X, the parameters and the
probabilities once, whichever is longer.
"""

import copy
from functools import partial

import numpy as np
import torch
from bench_training import BINARY, IMAGES, make_features, make_images, probabilities_of
from measure import Limits, interleaved, parser, table, write
from skorch import NeuralNet
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from skattr import AttributeClassifier
from skattr.nn._backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD

N_IMAGES = {64: 1024, 224: 192}
N_FEATURE_ROWS = 20_000
TOLERANCE = 1e-5


def by_hand(network, X, n_classes, batch_size=64):
    """Return the probabilities of each attribute, (n, n_classes)."""
    if isinstance(network, nn.Module):
        network.eval()
    with torch.inference_mode():
        images = torch.from_numpy(X)
        logits = torch.cat([network(batch) for batch in images.split(batch_size)])
        return probabilities_of(logits, n_classes)


def contiguous(network):
    """Return the same network in torch's standard memory layout, as a function of uint8 images."""
    plain = copy.deepcopy(network).eval().to(memory_format=torch.contiguous_format)
    mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(3, 1, 1)

    def forward(pixels):
        planes = pixels.permute(0, 3, 1, 2).contiguous().float().div_(255)
        return plain.branches(plain.backbone(planes.sub_(mean).div_(std)))

    return forward


def by_product(weight, bias, X, batch_size=None):
    """Return the probabilities of all attributes of two classes, (n, n_attributes)."""
    with torch.inference_mode():
        rows = torch.from_numpy(X)
        parts = rows.split(batch_size or len(rows))
        return torch.cat([torch.sigmoid(part @ weight.T + bias) for part in parts]).numpy()


def skorch_net(network, batch_size, **params):
    """Return skorch's net around a trained network."""
    net = NeuralNet(network, criterion=nn.BCEWithLogitsLoss, batch_size=batch_size, **params)
    return net.initialize()


def by_skorch(net, X, n_classes):
    """Return the probabilities of each attribute from skorch's net of logits."""
    return probabilities_of(torch.from_numpy(net.predict_proba(X)), n_classes)


def check(way, probas, expected):
    """Raise if probabilities differ from those of the hand-written loop."""
    difference = max(
        float(np.abs(one - other).max()) for one, other in zip(probas, expected, strict=True)
    )
    if difference > TOLERANCE:
        raise RuntimeError(f"Probabilities of {way!r} differ by {difference:.1e}.")
    return difference


def of_images(side, options):
    """Return ways, the differences of their probabilities, the network and X."""
    rng = np.random.default_rng(0)
    n = 64 if options.quick else N_IMAGES[side]
    X, y = make_images(n, IMAGES, rng, side)
    classifier = AttributeClassifier(image_size=side, max_epochs=1, device="cpu", random_state=0)
    classifier.fit(X[:128], y[:128])
    network = classifier.net_.module_
    net = skorch_net(network, 64, predict_nonlinearity=None)
    ways = {
        "predict_proba": partial(classifier.predict_proba, X),
        "by hand, batches of 64": partial(by_hand, network, X, IMAGES),
        "by hand, contiguous": partial(by_hand, contiguous(network), X, IMAGES),
        "skorch, batches of 64": partial(by_skorch, net, X, IMAGES),
    }
    expected = ways["by hand, batches of 64"]()
    differences = [check(way, function(), expected) for way, function in ways.items()]
    return ways, differences, network, X


def of_features(options):
    """Return ways, the differences of their probabilities, the network and X."""
    rng = np.random.default_rng(0)
    X, y = make_features(2000 if options.quick else N_FEATURE_ROWS, BINARY, rng)
    classifier = AttributeClassifier(max_epochs=2, batch_size=256, device="cpu", random_state=0)
    classifier.fit(X, y)
    network = classifier.net_.module_
    weight, bias = network.branches.weight.detach(), network.branches.bias.detach()
    ways = {
        "predict_proba": partial(classifier.predict_proba, X),
        "by hand, one product": partial(by_product, weight, bias, X),
        "by hand, batches of 256": partial(by_product, weight, bias, X, 256),
        "by hand, batches of 32": partial(by_product, weight, bias, X, 32),
    }
    for batch_size in (256, 32):
        net = skorch_net(network, batch_size, predict_nonlinearity=torch.sigmoid)
        ways[f"skorch, batches of {batch_size}"] = partial(net.predict_proba, X)
    expected = ways["by hand, one product"]()
    results = {way: function() for way, function in ways.items()}
    results["predict_proba"] = np.stack([proba[:, 1] for proba in results["predict_proba"]], 1)
    differences = [check(way, [result], [expected]) for way, result in results.items()]
    return ways, differences, network, X


def work_of(network, X, n_numbers):
    """Return operations and bytes of predicting `n_numbers` float32 probabilities."""
    part = torch.from_numpy(X[:64])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(part)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    operations = counter.get_total_flops() / len(part) * len(X)
    return operations, X.nbytes + 4 * (parameters + n_numbers)


def compare(name, options, limits):
    """Return the rows of a case, and its limit."""
    if name == "features":
        ways, differences, network, X = of_features(options)
        n_classes = BINARY
    else:
        ways, differences, network, X = of_images(int(name), options)
        n_classes = IMAGES
    seconds = interleaved(ways, options.runs)
    hand = min(taken for way, taken in seconds.items() if way.startswith("by hand"))
    rows = [
        {
            "case": name,
            "way": way,
            "ms": 1e3 * taken,
            "rows a second": len(X) / taken,
            "predict_proba / way": seconds["predict_proba"] / taken,
            "way / fastest by hand": taken / hand,
            "difference": difference,
        }
        for (way, taken), difference in zip(seconds.items(), differences, strict=True)
    ]
    operations, n_bytes = work_of(network, X, len(X) * sum(n_classes))
    least = limits.seconds(operations, n_bytes)
    limit = {"case": name, "operations": operations, "bytes": float(n_bytes)}
    limit |= {"limit, ms": 1e3 * least, "predict_proba / limit": seconds["predict_proba"] / least}
    return rows, limit | {"by hand / limit": hand / least}


def main():
    """Run the cases and write the results."""
    arguments = parser(__doc__)
    arguments.add_argument("--quick", action="store_true", help="small data, as a smoke test")
    arguments.add_argument("--only", choices=("64", "224", "features"))
    options = arguments.parse_args()
    names = [options.only] if options.only else ["64", "224", "features"]
    limits = Limits()
    parts = [compare(name, options, limits) for name in names]
    at_the_limit = [limit for _, limit in parts]
    write("inference", [row for rows, _ in parts for row in rows], limits=at_the_limit)
    print(f"\nlimits at {limits}\n{table(at_the_limit)}")


if __name__ == "__main__":
    main()
