"""Backbones against torchvision's own models."""

import io
import os
import re
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save as safetensors_bytes
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import v2

from skattr.nn import BranchLayout, MultiBranchNetwork, MultiBranchResNet
from skattr.nn._backbones.build import (
    GlobalPooling,
    PixelNormalization,
    build_feature_backbone,
    build_image_backbone,
)
from skattr.nn._backbones.torchvision import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    naming_image_size,
    normalization_of,
    remove_classifier,
)
from skattr.nn._backbones.weight_files import load_backbone_weights
from skattr.nn._embedding import EmbeddingNetwork
from tests.tiny_models import tiny_backbone


def noise(n, height, width, seed=0):
    """Return random uint8 images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def test_pixel_normalization_is_torchvisions():
    """It is torchvision's ToTensor, then Normalize with ImageNet's mean and deviation."""
    pixels = noise(3, 7, 5)
    to_floats = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    normalize = v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)
    expected = torch.stack([normalize(to_floats(image.numpy())) for image in pixels])
    normalized = PixelNormalization()(pixels)
    torch.testing.assert_close(normalized, expected.as_subclass(torch.Tensor), rtol=0, atol=2e-6)
    assert normalized.is_contiguous(memory_format=torch.channels_last)
    weights = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    assert (tuple(weights.mean), tuple(weights.std)) == (IMAGENET_MEAN, IMAGENET_STD)


def test_pixel_normalization_leaves_no_trace_in_the_state_dict():
    """A network's state dict holds its parameters, not the constants of its input."""
    assert not PixelNormalization().state_dict()


def test_global_pooling_is_adaptive_average_pooling():
    """Maps become their mean, flat features pass."""
    maps = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        GlobalPooling()(maps), nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1)
    )
    assert torch.equal(GlobalPooling()(maps[..., 0, 0]), maps[..., 0, 0])


@pytest.mark.parametrize(
    ("name", "n_features"),
    [
        ("resnet18", 512),
        ("resnet34", 512),
        ("resnet50", 2048),
        pytest.param("resnet101", 2048, marks=pytest.mark.slow),
        pytest.param("resnet152", 2048, marks=pytest.mark.slow),
        ("mobilenet_v3_small", 1024),
        ("squeezenet1_1", 512),
        ("shufflenet_v2_x0_5", 1024),
        ("densenet121", 1024),
        ("mnasnet0_5", 1280),
        ("regnet_y_400mf", 440),
        ("efficientnet_b0", 1280),
        ("googlenet", 1024),
        ("swin_t", 768),
    ],
)
def test_classifier_is_taken_off(name, n_features):
    """Features of the width the classifier read come out, at several sizes of images."""
    model, width = build_image_backbone(name, None, (64, 64))
    assert width == n_features
    model.eval()
    with torch.inference_mode():
        for size in [(64, 64), (72, 48)]:
            features = model(torch.zeros(2, 3, *size))
            assert features.shape == (2, n_features)
            assert features.is_floating_point()


@pytest.mark.parametrize("size", [(32, 32), (40, 24)])
def test_resnet_features_are_what_its_classifier_reads(size):
    """The features, put through the classifier that was taken off, are torchvision's logits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.resnet18().eval()
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    classifier = model.fc
    with torch.inference_mode():
        expected = model(x)
        assert remove_classifier(model, "resnet18") == 512
        torch.testing.assert_close(classifier(model(x)), expected)


@pytest.mark.parametrize("size", [(32, 48), 48, (64, 32)])
def test_vision_transformers_are_built_for_the_size(size):
    """A vision transformer takes the size at building, and rejects one that is not square."""
    pair = (size, size) if isinstance(size, int) else size

    class Stop(Exception):
        """Raised instead of building a large model."""

    def build(name, weights, **options):
        raise Stop(options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.models, "get_model", build)
        if pair[0] == pair[1]:
            with pytest.raises(Stop, match=r"'image_size': 48"):
                build_image_backbone("vit_b_32", None, pair)
        else:
            with pytest.raises(ValueError, match="'vit_b_32' needs square images"):
                build_image_backbone("vit_b_32", None, pair)


FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
    "swin_t",
    "swin_v2_t",
]


@pytest.mark.parametrize("name", FAMILIES)
def test_errors_name_sizes_that_torch_rejects(name):
    """Exactly the sizes on which the model fails are named in the error."""
    model = build_image_backbone(name, None, (32, 32))[0].eval()
    for side in (1, 2, 8, 16, 48, 96):
        try:
            with torch.no_grad():
                model(torch.zeros(1, 3, side, side))
            expected, words = RuntimeError, "^mine$"
        except RuntimeError:
            expected, words = ValueError, rf"'{name}' .*\({side}, {side}\).* mine$"
        with pytest.raises(expected, match=words), naming_image_size(name, model, (side, side)):
            raise RuntimeError("mine")


def test_trying_a_size_leaves_the_model_as_it_was():
    """Neither its mode, nor its state, nor torch's random numbers are changed."""
    model = build_image_backbone("resnet18", None, (32, 32))[0].train()
    state = {name: values.clone() for name, values in model.state_dict().items()}
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), naming_image_size("resnet18", model, (32, 32)):
        raise RuntimeError
    assert torch.equal(before, torch.get_rng_state())
    assert all(module.training for module in model.modules())
    for name, values in model.state_dict().items():
        assert values.device.type == "cpu"
        assert torch.equal(values, state[name])


@pytest.mark.parametrize(("backbone", "size"), [(tiny_backbone, (8, 8)), ("linear", None)])
def test_errors_of_other_networks_are_their_own(backbone, size):
    """A callable words its errors itself, and features have no size."""
    with pytest.raises(RuntimeError, match="^mine$"), naming_image_size(backbone, None, size):
        raise RuntimeError("mine")


@pytest.mark.parametrize(
    ("name", "side", "words"),
    [
        ("maxvit_t", 48, "not divisible by partition size 7"),
        ("vit_b_32", 48, "indivisible by patch size"),
    ],
)
def test_sizes_that_a_model_cannot_be_built_for(name, side, words):
    """What torchvision says of the size follows `backbone` and `image_size`."""
    size = rf"backbone='{name}' cannot take images of image_size=\({side}, {side}\)"
    with pytest.raises(ValueError, match=rf"{size}.*{words}"):
        build_image_backbone(name, None, (side, side))


def test_unknown_name():
    """The error lists the valid names."""
    with pytest.raises(ValueError, match="backbone='resnet19' is unknown") as error:
        build_image_backbone("resnet19", None, (32, 32))
    for name in ("resnet18", "resnet152", "convnext_tiny"):
        assert name in str(error.value)
    assert "fcos" not in str(error.value)  # detection is no classification


def test_unknown_weights():
    """The error lists the model's weights."""
    with pytest.raises(
        ValueError, match="'/no/such/file.pt' is neither a file nor weights"
    ) as error:
        build_image_backbone("resnet18", "/no/such/file.pt", (32, 32))
    assert "IMAGENET1K_V1" in str(error.value)


def test_named_weights_and_a_callable():
    """A callable cannot come with the name of weights: they would be ignored."""
    with pytest.raises(ValueError, match="callable backbone has no weights that go by a name"):
        MultiBranchResNet([2], tiny_backbone, weights="DEFAULT")


def test_a_model_without_classifier():
    """What has no classifier under torchvision's names is an error that names the backbone."""
    with pytest.raises(ValueError, match="backbone='odd' has no classifier"):
        remove_classifier(nn.Sequential(nn.Conv2d(3, 4, 1)), "odd")


def headed_backbone():
    """Return features of a shape that is already flat."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())


@pytest.mark.parametrize(("backbone", "n_features"), [(tiny_backbone, 8), (headed_backbone, 12)])
def test_callable(backbone, n_features):
    """Maps are pooled, flat features pass; building does not touch batch normalization."""
    model, width = build_image_backbone(backbone, None, (12, 10))
    assert width == n_features
    assert model.training
    assert model(torch.zeros(2, 3, 12, 10)).shape == (2, n_features)
    fresh, _ = build_image_backbone(backbone, None, (12, 10))
    buffers = dict(fresh.named_buffers())
    assert all(int(value) == 0 for key, value in buffers.items() if "num_batches" in key)


def test_feature_backbones():
    """Features pass ("linear"), or 256 ReLU units ("mlp"), or what a callable builds."""
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    linear, width = build_feature_backbone("linear", 5)
    assert width == 5
    assert torch.equal(linear(x), x)
    mlp, width = build_feature_backbone("mlp", 5)
    assert mlp(x).shape == (4, width) == (4, 256)
    assert mlp(x).min() == 0
    custom, width = build_feature_backbone(lambda n: nn.Linear(n, 2 * n), 5)
    assert custom(x).shape == (4, width) == (4, 10)
    with pytest.raises(ValueError, match="backbone='resnet18' is a network for images"):
        build_feature_backbone("resnet18", 5)


def test_weights_from_a_file(tmp_path):
    """A state dict torchvision's resnet18 was saved to, classifier included, loads exactly."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        state = torchvision.models.resnet18().state_dict()
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    loaded = MultiBranchResNet([2, 3], weights=str(path)).backbone.state_dict()
    assert set(loaded) == {key for key in state if not key.startswith("fc.")}
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_weights_of_a_callable_from_a_file(tmp_path):
    """A state dict the user saved from their own module loads into it."""
    model = tiny_backbone()
    path = tmp_path / "weights.pt"
    torch.save(model.state_dict(), path)
    network = MultiBranchNetwork(
        tiny_backbone, MultiBranchResNet([2], tiny_backbone).layout, weights=str(path)
    )
    loaded = network.backbone[0].state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in model.state_dict().items())


def test_missing_entry(tmp_path):
    """An entry that the file lacks is named."""
    model = tiny_backbone()
    path = str(tmp_path / "weights.pt")
    state = model.state_dict()
    del state["1.weight"], state["4.bias"]
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"lacks 2 of the backbone's 14 entries.*'1\.weight'"):
        load_backbone_weights(model, path)


def test_wrong_shape(tmp_path):
    """An entry of another shape is named, with both shapes, and nothing is loaded."""
    model = tiny_backbone()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    path = str(tmp_path / "weights.pt")
    state = {key: value + 1 for key, value in before.items()}
    torch.save({**state, "3.bias": torch.zeros(9)}, path)
    with pytest.raises(ValueError, match=r"'3\.bias' has shape \(9,\); expected \(8,\)"):
        load_backbone_weights(model, path)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Malicious:
    """Creates a directory when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        """Return what the unpickler shall run."""
        return os.mkdir, (self.path,)


def test_no_code_runs_from_a_weights_file(tmp_path):
    """A pickle that would run code is rejected, and the code does not run."""
    path, trace = tmp_path / "weights.pt", tmp_path / "trace"
    torch.save({"0.weight": Malicious(str(trace))}, path)
    with pytest.raises(Exception, match="without running its code"):
        load_backbone_weights(tiny_backbone(), str(path))
    assert not trace.exists()


def test_weights_that_cannot_be_fetched(monkeypatch):
    """Without a network the error says which file to bring, and where its path goes."""

    def offline(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    with pytest.raises(OSError, match=r"Download .*resnet18.*\.pth elsewhere, and put the file"):
        build_image_backbone("resnet18", "DEFAULT", (32, 32))


def write(path, state, kind="torch"):
    """Write a state dict to a file and return its path."""
    save_file(state, path) if kind == "safetensors" else torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_weights_of_another_network(tmp_path, kind):
    """Those of ResNet-34 and -50 for -18 and the reverse are errors, in both formats."""
    states = {
        name: torchvision.models.get_model(name).state_dict() for name in ("resnet18", "resnet34")
    }
    paths = {name: write(tmp_path / name, state, kind) for name, state in states.items()}
    with pytest.raises(ValueError, match=r"has 96 entries .* 'layer1\.2\..*another network"):
        build_image_backbone("resnet18", paths["resnet34"], (32, 32))
    with pytest.raises(ValueError, match=r"lacks \d+ of .* 'layer1\.2\.conv1\.weight'"):
        build_image_backbone("resnet34", paths["resnet18"], (32, 32))
    model, _ = build_image_backbone("resnet34", paths["resnet34"], (32, 32))
    for key, value in model.state_dict().items():
        assert torch.equal(value, states["resnet34"][key])


def test_weights_of_auxiliary_classifiers_are_ignored(tmp_path):
    """A file of GoogLeNet as it is trained, with three classifiers, fits the backbone."""
    state = torchvision.models.googlenet(init_weights=False).state_dict()
    assert any(key.startswith("aux1.") for key in state)
    model, _ = build_image_backbone("googlenet", write(tmp_path / "w", state), (64, 64))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "backbone.", "model.encoder."])
@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
def test_wrapped_weights(tmp_path, prefix, key):
    """The error says how to unwrap a state dict, and what it says works."""
    inner = {prefix + name: value for name, value in tiny_backbone().state_dict().items()}
    state = inner if key is None else {"epoch": 3, key: inner}
    path = write(tmp_path / "w", state)
    if key is not None:
        with pytest.raises(ValueError, match=rf"state dict under '{key}'; save that alone"):
            load_backbone_weights(tiny_backbone(), path)
        path = write(tmp_path / "w", torch.load(path)[key])
    with pytest.raises(ValueError, match=rf"has the prefix '{prefix}' before each name"):
        load_backbone_weights(tiny_backbone(), path)
    bare = {name.removeprefix(prefix): value for name, value in inner.items()}
    model = tiny_backbone()
    load_backbone_weights(model, write(tmp_path / "w", bare))
    assert all(torch.equal(value, bare[name]) for name, value in model.state_dict().items())


def damaged(kind):
    """Return the bytes of a file that holds no usable state dict."""
    state = tiny_backbone().state_dict()
    if kind == "safetensors":
        return safetensors_bytes(state)[:-5]
    buffer = io.BytesIO()
    objects = {"list": [1, 2], "tensor": torch.ones(3), "module": tiny_backbone()}
    torch.save(objects.get(kind, state), buffer)
    return {"empty": b"", "text": b"no weights", "short": buffer.getvalue()[:-500]}.get(
        kind, buffer.getvalue()
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "is an empty file"),
        ("text", "was not written by torch.save|holds other objects"),
        ("short", "is damaged"),
        ("safetensors", "is a damaged safetensors file"),
        ("list", "holds a list, but no state dict"),
        ("tensor", "holds a Tensor, but no state dict"),
        ("module", "such as a whole module; make one with torch.save"),
    ],
)
def test_files_that_hold_no_weights(tmp_path, kind, message):
    """The error names the file and says what is wrong with it."""
    path = tmp_path / "w"
    path.write_bytes(damaged(kind))
    with pytest.raises(ValueError, match=rf"weights='{path}' .*({message})"):
        load_backbone_weights(tiny_backbone(), str(path))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_entries_that_are_no_weights(tmp_path, value):
    """An entry with NaN, or one that is no tensor, is named."""
    state = tiny_backbone().state_dict()
    state["4.bias"] = 3 if value is None else torch.full_like(state["4.bias"], value)
    with pytest.raises(ValueError, match=r"'4\.bias' (has NaN or infinity|is a int; expected)"):
        load_backbone_weights(tiny_backbone(), write(tmp_path / "w", state))


def test_weights_of_early_versions(tmp_path):
    """Files without the counters of batch normalization, which torch added later, are read."""
    state = tiny_backbone().state_dict()
    early = {key: value for key, value in state.items() if "num_batches" not in key}
    model = tiny_backbone()
    load_backbone_weights(model, write(tmp_path / "w", early))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items()
               if key in early)  # fmt: skip


NAMED = [
    (name, weights.name)
    for name in torchvision.models.list_models(module=torchvision.models)
    for weights in torchvision.models.get_model_weights(name)
]


def test_named_weights_have_their_own_normalization():
    """For all weights of torchvision, pixels are normalized as their own transforms do it."""
    pixels = noise(1, 8, 8)
    odd = set()
    for name, weights in NAMED:
        transforms = torchvision.models.get_model_weights(name)[weights].transforms()
        scaled = pixels.permute(0, 3, 1, 2) / 255
        expected = v2.functional.normalize(scaled, list(transforms.mean), list(transforms.std))
        normalized = PixelNormalization(name, weights)(pixels)
        torch.testing.assert_close(normalized, expected, rtol=0, atol=1e-3 * expected.abs().max())
        if normalization_of(name, weights) != (IMAGENET_MEAN, IMAGENET_STD):
            odd.add((name, weights))
    assert len(NAMED) > 100
    assert odd >= {("efficientnet_v2_l", "IMAGENET1K_V1"), ("vgg16", "IMAGENET1K_FEATURES")}


def test_networks_use_the_normalization_of_their_weights(tmp_path, monkeypatch):
    """The networks of classifier and embedder ask for it; files and callables get ImageNet's."""
    state = torchvision.models.squeezenet1_1().state_dict()

    def get_model(name, weights=None, **options):
        return torchvision.models.squeezenet1_1()

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    expected = PixelNormalization("efficientnet_v2_l", "DEFAULT").scale
    assert not torch.equal(expected, PixelNormalization().scale)
    for backbone, weights, scale in [
        ("efficientnet_v2_l", "DEFAULT", expected),
        ("efficientnet_v2_l", None, PixelNormalization().scale),
        ("efficientnet_v2_l", write(tmp_path / "w", state), PixelNormalization().scale),
        (tiny_backbone, None, PixelNormalization().scale),
    ]:
        for network in (
            MultiBranchNetwork(backbone, BranchLayout((2,)), weights=weights),
            EmbeddingNetwork(backbone, weights=weights),
        ):
            assert torch.equal(network.normalization.scale, scale)


def test_weights_without_a_classifier():
    """Of VGG16 with the weights IMAGENET1K_FEATURES, whose classifier is NaN, the maps are used."""
    with torch.device("meta"):
        model = torchvision.models.vgg11()
    model.classifier.to_empty(device="cpu")
    for values in model.classifier.parameters():
        nn.init.constant_(values, float("nan"))
    assert remove_classifier(model, "vgg16") == 512 * 7 * 7
    assert isinstance(model.classifier, nn.Identity)


def test_prefix_beside_other_entries(tmp_path):
    """The remedy for a prefix keeps the entries of the backbone only, as of a whole network."""
    bare = tiny_backbone().state_dict()
    state = {f"backbone.{name}": value for name, value in bare.items()}
    state["branches.weight"] = torch.zeros(2, 8)
    torch.save(state, tmp_path / "whole.pt")
    with pytest.raises(ValueError, match="has the prefix 'backbone.'") as raised:
        load_backbone_weights(tiny_backbone(), str(tmp_path / "whole.pt"))
    [remedy] = re.findall(r"\{name.*\}", str(raised.value))
    torch.save(eval(remedy, {"state": state}), tmp_path / "bare.pt")
    model = tiny_backbone()
    load_backbone_weights(model, str(tmp_path / "bare.pt"))
    assert all(torch.equal(value, bare[name]) for name, value in model.state_dict().items())
