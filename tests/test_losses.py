"""The public parameter objects of the losses."""

import pickle
from functools import partial

import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from skattr.losses import (
    AsymmetricLoss,
    CrossEntropyLoss,
    FocalLoss,
    PartialAsymmetricLoss,
    make_criterion,
)
from skattr.nn import (
    BranchLayout,
    SummedAsymmetric,
    SummedCrossEntropy,
    SummedFocal,
    SummedPartialAsymmetric,
)

OBJECTS = {
    CrossEntropyLoss: SummedCrossEntropy,
    FocalLoss: SummedFocal,
    AsymmetricLoss: SummedAsymmetric,
    PartialAsymmetricLoss: SummedPartialAsymmetric,
}
every_object = pytest.mark.parametrize("kind", OBJECTS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("auto", CrossEntropyLoss),
        ("bce", CrossEntropyLoss),
        ("focal", FocalLoss),
        ("asymmetric", AsymmetricLoss),
        ("partial_asymmetric", PartialAsymmetricLoss),
    ],
)
def test_names_stand_for_objects(name, kind):
    """A name is the object of that loss with its defaults."""
    assert make_criterion(name) == make_criterion(kind())
    assert make_criterion(name)[0] is OBJECTS[kind]


@every_object
def test_arguments_build_the_criterion(kind):
    """Every parameter arrives in the module, under its own name."""
    criterion, arguments = make_criterion(kind())
    module = criterion(BranchLayout((2, 3)), **arguments)
    for name, value in arguments.items():
        if name != "prior_threshold":  # stands in a buffer, together with priors
            assert getattr(module, name) == value
    logits = torch.zeros(4, 4)
    assert torch.isfinite(module(logits, torch.ones(4, 2).long(), torch.ones(4, 2)))


@every_object
def test_defaults_are_those_of_the_module(kind):
    """An object's defaults and its module's do not drift apart."""
    layout = BranchLayout((2, 3))
    criterion, arguments = make_criterion(kind())
    given, default = criterion(layout, **arguments), criterion(layout)
    for name in arguments:
        if name != "prior_threshold":
            assert getattr(given, name) == getattr(default, name)


@every_object
def test_objects_are_parameters(kind):
    """They clone, pickle, print and are searched like scikit-learn's own."""
    loss = kind(unknown="negative", top_k=2)
    for copy in (clone(loss), pickle.loads(pickle.dumps(loss))):
        assert copy is not loss
        assert copy.get_params() == loss.get_params()
    assert eval(repr(loss), {kind.__name__: kind}).get_params() == loss.get_params()
    for candidate in ParameterGrid({"top_k": [0, 1], "unknown": ["ignore"]}):
        make_criterion(clone(loss).set_params(**candidate))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (CrossEntropyLoss(label_smoothing=1.0), "'label_smoothing' parameter of CrossEntropyLoss"),
        (CrossEntropyLoss(label_smoothing=-0.5), "'label_smoothing' parameter"),
        (FocalLoss(label_smoothing=-0.5), "'label_smoothing' parameter"),
        (CrossEntropyLoss(unknown="positive"), "'unknown' parameter"),
        (CrossEntropyLoss(top_k=-1), "'top_k' parameter"),
        (FocalLoss(gamma=-1.0), "'gamma' parameter of FocalLoss"),
        (FocalLoss(alpha=1.5), "'alpha' parameter"),
        (FocalLoss(alpha=-0.5), "'alpha' parameter"),
        (FocalLoss(gamma=-0.5), "'gamma' parameter"),
        (AsymmetricLoss(clip=1.0), "'clip' parameter"),
        (AsymmetricLoss(clip=-0.5), "'clip' parameter"),
        (PartialAsymmetricLoss(clip=-0.5), "'clip' parameter"),
        (PartialAsymmetricLoss(prior_threshold=-0.5), "'prior_threshold' parameter"),
        (AsymmetricLoss(gamma_neg="4"), "'gamma_neg' parameter"),
        (PartialAsymmetricLoss(alpha_unknown=-0.1), "'alpha_unknown' parameter"),
        (PartialAsymmetricLoss(prior_threshold=2.0), "'prior_threshold' parameter"),
    ],
)
def test_wrong_parameters(loss, message):
    """Each is named with its valid values; the object can be made, as in scikit-learn."""
    with pytest.raises(ValueError, match=message):
        make_criterion(loss)


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (CrossEntropyLoss, "label_smoothing", [0, 0.25, 0.99]),
        (CrossEntropyLoss, "prior_threshold", [0, 0.5, 1, None]),
        (CrossEntropyLoss, "top_k", [0, 1]),
        (FocalLoss, "label_smoothing", [0, 0.25, 0.99]),
        (FocalLoss, "gamma", [0, 0.5]),
        (FocalLoss, "alpha", [0, 0.5, 1, None]),
        (AsymmetricLoss, "clip", [0, 0.25, 0.99]),
        (PartialAsymmetricLoss, "clip", [0, 0.25, 0.99]),
        (PartialAsymmetricLoss, "alpha_unknown", [0, 0.5]),
    ],
)
def test_limits_of_parameters_are_valid(kind, name, values):
    """The ends of the valid ranges are accepted and passed on."""
    for value in values:
        assert make_criterion(kind(**{name: value}))[1][name] == value


@pytest.mark.parametrize(
    "loss", ["hinge", None, 3, FocalLoss, torch.nn.BCELoss, torch.nn.BCELoss()]
)
def test_wrong_losses(loss):
    """The error names what is valid."""
    with pytest.raises(ValueError, match="loss must be one of .'auto', 'bce', 'focal'"):
        make_criterion(loss)


def own_loss(layout, **options):
    """Make a loss of one's own."""
    return SummedFocal(layout, gamma=1.0, **options)


@pytest.mark.parametrize("loss", [SummedFocal, own_loss, partial(own_loss, label_smoothing=0.1)])
def test_callables_are_taken_as_they_are(loss):
    """A subclass or a function that makes one has no further arguments."""
    assert make_criterion(loss) == (loss, {})
