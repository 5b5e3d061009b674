"""Frozen networks against torchvision's own models and its feature extractor."""

import threading
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.transforms import v2

from skattr.nn._backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD, check_names
from skattr.nn._embedding import (
    EmbeddingNetwork,
    identity_of_module,
    identity_of_weights,
)
from tests.tiny_models import tiny_backbone

NORMALIZE = v2.Compose(
    [v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
)


def noise(n, height, width, seed=0):
    """Return random uint8 images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def seeded(build):
    """Call something with torch's global generator seeded, and leave it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


@pytest.fixture(scope="module")
def resnet():
    """Return torchvision's ResNet-18 with statistics that are not the initial ones."""
    model = seeded(torchvision.models.resnet18)
    with torch.no_grad():
        model.train()(NORMALIZE(noise(8, 48, 40).permute(0, 3, 1, 2)))
    return model.eval()


@pytest.fixture
def weights(resnet, tmp_path):
    """Return the path of its state dict."""
    path = tmp_path / "resnet.pt"
    torch.save(resnet.state_dict(), path)
    return str(path)


def traced(model, layer, x):
    """Return what torchvision's feature extractor sees a layer give."""
    extractor = create_feature_extractor(model, [layer], suppress_diff_warning=True)
    with torch.no_grad():
        return extractor.eval()(x)[layer]


def test_pooled_features_are_those_the_classifier_reads(resnet, weights):
    """Put through the model's own classifier they are its logits."""
    pixels = noise(3, 48, 40)
    network = EmbeddingNetwork("resnet18", weights=weights, image_size=(48, 40))
    assert network.n_features == 512
    with torch.no_grad():
        expected = resnet(NORMALIZE(pixels.permute(0, 3, 1, 2)))
        torch.testing.assert_close(resnet.fc(network(pixels)), expected)


@pytest.mark.parametrize("size", [(48, 40), (32, 32)])
@pytest.mark.parametrize("layer", ["conv1", "layer1", "layer3.0.conv1", "layer4", "layer2.1"])
def test_a_layer_is_averaged_over_its_map(resnet, weights, layer, size):
    """Features are the mean over all places of what torchvision extracts, at any size."""
    pixels = noise(3, *size)
    network = EmbeddingNetwork("resnet18", weights=weights, layer=layer, image_size=size)
    expected = traced(resnet, layer, NORMALIZE(pixels.permute(0, 3, 1, 2))).mean((2, 3))
    assert network.n_features == expected.shape[1]
    torch.testing.assert_close(network(pixels), expected)


@pytest.mark.parametrize("layer", ["avgpool", "layer4"])
def test_the_last_map_is_the_pool(weights, layer):
    """The last map, averaged, and its average are the pooled features."""
    pixels = noise(2, 40, 40)
    pooled = EmbeddingNetwork("resnet18", weights=weights, image_size=(40, 40))
    network = EmbeddingNetwork("resnet18", weights=weights, layer=layer, image_size=(40, 40))
    torch.testing.assert_close(network(pixels), pooled(pixels))


def small_swin():
    """Build a Swin transformer, whose maps are (n, h, w, C)."""
    return SwinTransformer([2, 2], 8, [1, 1], [1, 2], [2, 2], num_classes=5)


def small_vit():
    """Build a vision transformer for 32x32 pixels, whose maps are tokens (n, t, C)."""
    return VisionTransformer(32, 16, 2, 2, 8, 16, num_classes=5)


@pytest.mark.parametrize(
    ("build", "layer", "axes"),
    [
        (small_swin, "features.0.0", (2, 3)),
        (small_swin, "features.1", (1, 2)),
        (small_swin, "features.3.0.norm1", (1, 2)),
        (small_swin, "norm", (1, 2)),
        (small_swin, "permute", (2, 3)),
        (small_vit, "conv_proj", (2, 3)),
        (small_vit, "encoder.layers.encoder_layer_0.mlp", (1,)),
        (small_vit, "encoder.ln", (1,)),
        (tiny_backbone, "3", (2, 3)),
    ],
)
def test_places_are_told_from_channels(build, layer, axes):
    """Channels may come first, last, or behind tokens: places are what is averaged."""
    network = seeded(lambda: EmbeddingNetwork(build, layer=layer, image_size=(32, 32)))
    model, pixels = seeded(build).eval(), noise(2, 32, 32)
    expected = traced(model, layer, NORMALIZE(pixels.permute(0, 3, 1, 2))).mean(axes)
    torch.testing.assert_close(network(pixels), expected)


def test_features_of_a_callable_are_pooled():
    """Maps of a callable are averaged."""
    network = seeded(lambda: EmbeddingNetwork(tiny_backbone, image_size=(12, 10)))
    pixels = noise(2, 12, 10)
    with torch.no_grad():
        maps = seeded(tiny_backbone).eval()(NORMALIZE(pixels.permute(0, 3, 1, 2)))
    torch.testing.assert_close(network(pixels), maps.mean((2, 3)))


@pytest.mark.parametrize("layer", ["pool", "3"])
def test_it_stays_frozen(layer):
    """Neither train() nor a parent's makes it learn statistics, and no parameter has a gradient."""
    network = EmbeddingNetwork(tiny_backbone, layer=layer, image_size=(12, 10))
    before = network(noise(2, 12, 10))
    nn.Sequential(network).train()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(network(noise(2, 12, 10)), before)


# --- identities -----------------------------------------------------------------


def test_a_module_is_known_by_its_state_and_structure():
    """One changed weight, buffer, type or layer makes another identity; a copy has the same."""
    model = seeded(tiny_backbone)
    identities = [identity_of_module(model)]
    assert identity_of_module(seeded(tiny_backbone)) == identities[0]
    assert identity_of_module(model.to(memory_format=torch.channels_last)) == identities[0]
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] += 1e-6
    identities.append(identity_of_module(model))
    model[1].num_batches_tracked += 1
    identities.append(identity_of_module(model))
    model[2] = nn.GELU()
    identities.append(identity_of_module(model))
    identities.append(identity_of_module(model.double()))
    identities.append(identity_of_module(model.bfloat16()))
    assert len(set(identities)) == 6


def test_weights_are_known_without_building(weights, tmp_path):
    """Seeds, files by their bytes, and torchvision's weights by their address."""
    assert identity_of_weights("resnet18", None, 0) != identity_of_weights("resnet18", None, 1)
    copy = tmp_path / "copy.pt"
    copy.write_bytes(Path(weights).read_bytes())
    known = identity_of_weights("resnet18", weights, 0)
    assert identity_of_weights("resnet18", str(copy), 1) == known
    copy.write_bytes(b"other")
    assert identity_of_weights("resnet18", str(copy), 0) != known
    members = torchvision.models.ResNet50_Weights
    named = [identity_of_weights("resnet50", member.name, 0) for member in members]
    assert named == [member.url for member in members]
    assert identity_of_weights("resnet50", "DEFAULT", 5) == members.DEFAULT.url


# --- invalid arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["auto", "resnet19", "fcos_resnet50_fpn"])
def test_unknown_backbones(backbone):
    """The error lists the valid names."""
    with pytest.raises(ValueError, match=f"backbone='{backbone}' is unknown; .*resnet18"):
        check_names(backbone, None)


def test_unknown_weights():
    """The error lists the weights of the model, and a callable has none by name."""
    with pytest.raises(ValueError, match="neither a file nor weights of 'resnet18'.*IMAGENET1K_V1"):
        check_names("resnet18", "imagenet")
    with pytest.raises(ValueError, match="a callable backbone has no weights that go by a name"):
        EmbeddingNetwork(tiny_backbone, weights="DEFAULT", image_size=(12, 10))


@pytest.mark.parametrize("content", [b"", b"no state dict"])
def test_files_that_are_no_weights(tmp_path, content):
    """Bytes that torch cannot read are named."""
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"weights='.*weights\.pt' is (an empty|no state dict that can be)"
    ):
        EmbeddingNetwork("resnet18", weights=str(path), image_size=(32, 32))


def test_a_pickled_module_is_not_run(tmp_path):
    """A module instead of its state dict is rejected, and the error says what to save."""
    path = tmp_path / "weights.pt"
    torch.save(tiny_backbone(), path)
    with pytest.raises(ValueError, match=r"no state dict .*torch\.save\(module\.state_dict\(\)"):
        EmbeddingNetwork(tiny_backbone, weights=str(path), image_size=(12, 10))


@pytest.mark.parametrize("layer", ["layer5", "layer1.0.conv", "fc", "", "x"])
def test_unknown_layers(layer):
    """The error lists valid layers; the classifier, which is taken off, and the input are none."""
    message = f"layer='{layer}' is unknown; valid are pool, conv1, .*layer4, avgpool, and"
    with pytest.raises(ValueError, match=message) as error:
        EmbeddingNetwork("resnet18", layer=layer, image_size=(32, 32))
    assert "fc" not in str(error.value).split("valid")[1]


class Odd(nn.Module):
    """A network whose parts give what is no features, or nothing."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.recurrent = nn.LSTM(4, 4, batch_first=True)
        self.joining = nn.Flatten(0, 1)
        self.idle = nn.Linear(2, 2)

    def forward(self, x):
        """Map to features."""
        maps = self.convolution(x)
        self.joining(maps)
        return self.recurrent(maps.flatten(2).mT)[0].mean(1)


@pytest.mark.parametrize("layer", ["recurrent", "joining", "idle"])
def test_layers_without_features(layer):
    """Modules that return several tensors, not a row per image, or nothing are rejected."""
    assert EmbeddingNetwork(Odd, layer="convolution", image_size=(12, 10)).n_features == 4
    with pytest.raises(ValueError, match=f"layer='{layer}' has no features of its own .*recurrent"):
        EmbeddingNetwork(Odd, layer=layer, image_size=(12, 10))


def test_other_threads_are_not_disturbed():
    """While a layer is looked up, networks of other threads run as ever."""
    other, done, errors = tiny_backbone().eval(), threading.Event(), []

    def run():
        while not done.is_set():
            try:
                other(torch.zeros(1, 3, 12, 10))
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(20):
        EmbeddingNetwork(tiny_backbone, layer="2", image_size=(12, 10))
    done.set()
    thread.join()
    assert not errors
