"""Frozen stages and learning rates per stage, against the names of the network's modules."""

import numpy as np
import pytest
import torch
import torchvision
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from skattr._training.build import build_and_train, build_net
from skattr._training.freezing import Freezing, backbone_stages, parameter_groups
from skattr.nn._backbones.build import build_image_backbone
from tests.tiny_models import tiny_backbone
from tests.training.configs import Staged, config, equal, feature_problem, image_problem, state


class Watch(Callback):
    """Records at every step: gradients, modules in training mode, and learning rates."""

    def __init__(self):
        self.graded = []
        self.training = []
        self.rates = []

    def on_batch_begin(self, net, training, **_):
        """Record the rates."""
        if training:
            self.rates.append([group["lr"] for group in net.optimizer_.param_groups])

    def on_batch_end(self, net, training, **_):
        """Record gradients and modes."""
        if training:
            network = net.module_
            graded = {name for name, p in network.named_parameters() if p.grad is not None}
            leaves = [(name, m) for name, m in network.named_modules() if not list(m.children())]
            self.graded.append(graded)
            self.training.append({name for name, m in leaves if m.training})


def names_of(stage, model):
    """Return the names of a stage's parameters in a model."""
    mine = {id(parameter) for parameter in stage.parameters}
    return {name for name, parameter in model.named_parameters() if id(parameter) in mine}


MODELS = {
    "resnet18": 4,
    "wide_resnet50_2": 4,
    "mobilenet_v3_small": 13,
    "efficientnet_b0": 9,
    "vgg11_bn": 16,
    "vit_b_32": 2,
    "convnext_tiny": 8,
    "shufflenet_v2_x0_5": 5,
    "densenet121": 10,
}


@pytest.mark.parametrize("name", MODELS)
def test_stages_divide_the_whole_backbone(name):
    """Stages are disjoint, in order, and together hold each parameter and buffer."""
    with torch.device("meta"):
        model = getattr(torchvision.models, name)()
    for head in ("fc", "classifier", "head", "heads"):
        last = getattr(model, head, None)
        if isinstance(last, nn.Sequential):
            last[-1] = nn.Identity()
        elif last is not None:
            setattr(model, head, nn.Identity())
    stages = backbone_stages(model)
    names = [names_of(stage, model) for stage in stages]
    everything = [name for name, _ in model.named_parameters()]
    assert sum(map(len, names)) == len(everything)
    assert set.union(*names) == set(everything)
    modules = [m for stage in stages for part in stage.modules for m in part.modules()]
    with_state = [m for m in model.modules() if list(m.buffers(recurse=False))]
    assert {id(m) for m in with_state} <= {id(m) for m in modules}
    if name != "vit_b_32":  # whose class token is registered before its first convolution
        numbers = [j for key in everything for j, stage in enumerate(names) if key in stage]
        assert numbers == sorted(numbers)
    assert len(stages) == MODELS[name]


def test_stages_of_a_resnet():
    """The stem belongs to the first of four blocks."""
    model = torchvision.models.resnet18()
    model.fc = nn.Identity()
    heads = [
        sorted({name.split(".")[0] for name in names_of(stage, model)})
        for stage in backbone_stages(model)
    ]
    assert heads == [["bn1", "conv1", "layer1"], ["layer2"], ["layer3"], ["layer4"]]


def test_stages_of_a_callable():
    """The module of a callable is divided, without the pooling added to it; a leaf is one stage."""
    model, _ = build_image_backbone(tiny_backbone, None, (12, 10))
    assert len(backbone_stages(model)) == 4
    assert [len(stage.modules) for stage in backbone_stages(model)] == [1, 2, 1, 2]
    linear = nn.Linear(2, 3)
    (stage,) = backbone_stages(linear)
    assert stage.modules == [linear]
    assert backbone_stages(nn.Identity()) == []


def test_frozen_stages_are_bit_identical_after_fit():
    """Weights and BatchNorm's buffers of frozen stages do not change; the others are trained."""
    problem = image_problem()
    settings = config(
        backbone=Staged, freeze="stages:2", optimizer="adamw", weight_decay=0.1, batch_size=8
    )
    before = state(build_net(settings, problem, 24))
    watch = Watch()
    settings_with_watch = config(**{**vars(settings), "callbacks": [watch]})
    net = build_and_train(settings_with_watch, problem, np.arange(24))
    frozen = ("backbone.0.conv1", "backbone.0.bn1", "backbone.0.layer1", "backbone.0.layer2")
    after = state(net)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if not name.startswith(frozen)}
    for graded, training in zip(watch.graded, watch.training, strict=True):
        assert not [name for name in (*graded, *training) if name.startswith(frozen)]
        assert "backbone.0.layer3.3" in training  # dropout
    assert all(parameter.requires_grad for parameter in net.module_.parameters())


def test_a_frozen_backbone_is_a_constant_function():
    """Training its branches equals training on features computed beforehand."""
    problem = feature_problem()
    settings = config(freeze="backbone", max_epochs=5, optimizer=torch.optim.SGD)
    net = build_net(settings, problem, 40)
    codes, weights = torch.tensor(problem.targets), torch.tensor(problem.weights)
    with torch.no_grad():
        features = net.module_.forward_features(torch.tensor(problem.rows.array))
    weight, bias = (p.detach().clone().requires_grad_() for p in net.module_.branches.parameters())
    optimizer = torch.optim.SGD([weight, bias], lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(5):
        loss = net.criterion_(F.linear(features, bias, weight), codes, weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.partial_fit(problem.dataset(np.arange(40)))
    trained = dict(net.module_.branches.named_parameters())
    torch.testing.assert_close(trained["bias"].data, weight.data, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(trained["weight"].data, bias.data, rtol=1e-9, atol=1e-12)


def test_gradual_unfreezing():
    """One more stage gets gradients every few epochs, the last one first."""
    watch = Watch()
    settings = config(
        backbone=Staged, freeze="backbone", unfreeze_every=2, max_epochs=9, optimizer="adamw",
        callbacks=[watch],
    )  # fmt: skip
    problem = image_problem()
    net = build_net(settings, problem, 24)
    before = state(net)
    net.partial_fit(problem.dataset(np.arange(24)))
    trained = [
        sorted({name.split(".")[2] for name in graded if name.startswith("backbone")})
        for graded in watch.graded
    ]
    layers = ["layer1", "layer2", "layer3", "layer4"]
    expected = [layers[len(layers) - epoch // 2 :] for epoch in range(8)]
    assert trained == [*expected, ["bn1", "conv1", *layers]]
    after = state(net)
    assert not any(torch.equal(before[name], after[name]) for name in before)
    assert net.optimizer_.state[net.module_.backbone[0].conv1.weight]["step"] == 1


def test_partial_fit_continues_counting_epochs():
    """Unfreezing counts the epochs of all calls together."""
    watch = Watch()
    settings = config(
        backbone=Staged, freeze="stages:1", unfreeze_every=2, max_epochs=1, callbacks=[watch]
    )
    problem = image_problem()
    net = build_net(settings, problem, 24)
    for _ in range(3):
        net.partial_fit(problem.dataset(np.arange(24)))
    assert ["backbone.0.conv1.weight" in graded for graded in watch.graded] == [False, False, True]


def test_parameters_frozen_by_the_backbone_remain_frozen():
    """Parameters that a backbone freezes itself are neither trained nor unfrozen."""

    def half_frozen():
        model = Staged()
        model.layer1.requires_grad_(False)
        return model

    problem = image_problem()
    settings = config(backbone=half_frozen, freeze="backbone", unfreeze_every=1, max_epochs=6)
    net = build_and_train(settings, problem, np.arange(24))
    still = {name for name, p in net.module_.named_parameters() if not p.requires_grad}
    assert {name.split(".")[2] for name in still} == {"layer1"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised in modules of the compiler
def test_compiled_networks_freeze_and_unfreeze():
    """A compiled net with frozen stages learns what it learns without compilation."""
    problem = feature_problem()
    states = []
    for compiled in (False, True):
        settings = config(
            freeze="backbone", unfreeze_every=2, compile=compiled,
            net_params={"compile__backend": "eager"} if compiled else {},
        )  # fmt: skip
        states.append(state(build_and_train(settings, problem, np.arange(40))))
    torch._dynamo.reset()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("backbone", "freeze", "valid"),
    [
        (Staged, "stages:5", "stages:1 to stages:4"),
        (lambda: nn.Sequential(nn.Conv2d(3, 2, 3)), "stages:2", "stages:1"),
    ],
)
def test_rejects_too_many_stages(backbone, freeze, valid):
    """The error says how many stages the backbone has."""
    settings = config(backbone=backbone, freeze=freeze)
    with pytest.raises(ValueError, match=f"freeze='{freeze}', more .*valid are {valid}[.]$"):
        build_and_train(settings, image_problem(), np.arange(24))


def identity_backbone(n_inputs):
    """Return features unchanged."""
    return nn.Identity()


def test_a_backbone_without_stages():
    """A backbone without parameters can only be frozen as a whole."""
    problem = feature_problem()
    with pytest.raises(ValueError, match="none, as it has no parameters"):
        build_and_train(
            config(backbone=identity_backbone, freeze="stages:1"), problem, np.arange(40)
        )
    nets = [
        build_and_train(config(backbone=identity_backbone, freeze=freeze), problem, np.arange(40))
        for freeze in (None, "backbone")
    ]
    assert equal(*map(state, nets))


@pytest.mark.parametrize("changed", [{"freeze": "backbone"}, {"layer_decay": 0.5}])
def test_rejects_freezing_without_a_backbone(changed):
    """Without a backbone, neither freezing nor layer decay is silently ignored."""
    with pytest.raises(ValueError, match="X holds 2-D features, for which 'auto' has none; 'mlp'"):
        build_and_train(config(backbone="linear", **changed), feature_problem(), np.arange(40))


def test_an_exception_unfreezes():
    """Frozen parameters are trainable again after training failed."""
    backbone = Staged()
    freezing = Freezing(backbone, "stages:2")
    freezing.start_epoch(0)
    assert not backbone.conv1.weight.requires_grad
    freezing.restore()
    assert all(parameter.requires_grad for parameter in backbone.parameters())


def test_parameter_groups():
    """The branches come first with `lr`; each stage before them has one more factor."""
    backbone, branches = Staged(), nn.Linear(4, 3)
    parameters = [*backbone.parameters(), *branches.parameters()]
    groups = parameter_groups(backbone, parameters, lr=0.1, layer_decay=0.5)
    np.testing.assert_allclose([group["lr"] for group in groups], 0.1 * 0.5 ** np.arange(5))
    expected = [branches, backbone.layer4, backbone.layer3, backbone.layer2]
    for group, module in zip(groups, expected, strict=False):
        assert {id(p) for p in group["params"]} == {id(p) for p in module.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(parameters)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", None])
def test_rates_of_all_stages_over_the_schedule(schedule):
    """Each group follows torch's schedule at its own peak."""
    watch = Watch()
    settings = config(
        backbone=Staged, optimizer="adamw", lr=0.01, layer_decay=0.6, lr_schedule=schedule,
        batch_size=8, callbacks=[watch],
    )  # fmt: skip
    build_and_train(settings, image_problem(), np.arange(24))
    peaks = [0.01 * 0.6**k for k in range(5)]
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": peak} for peak in peaks]
    optimizer = torch.optim.AdamW(groups)
    schedules = {
        "onecycle": lambda: OneCycleLR(optimizer, peaks, total_steps=9),
        "cosine": lambda: CosineAnnealingLR(optimizer, 9),
        None: lambda: CosineAnnealingLR(optimizer, 10**9),
    }
    scheduler = schedules[schedule]()
    expected = []
    for _ in range(9):
        expected.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(watch.rates, expected, rtol=1e-9)


def test_rejects_layer_decay_with_param_groups():
    """Parameter groups of `layer_decay` and of `net_params` cannot be combined."""
    groups = {"optimizer__param_groups": [("branches*", {"lr": 1.0})]}
    with pytest.raises(ValueError, match=r"layer_decay=0.5, .*cannot be combined"):
        build_and_train(
            config(layer_decay=0.5, net_params=groups), feature_problem(), np.arange(40)
        )
