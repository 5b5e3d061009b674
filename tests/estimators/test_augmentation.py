"""Parameter objects: scikit-learn's protocol, checked values, and what they say they change."""

import inspect

import pytest
from sklearn.base import BaseEstimator, clone

from skattr._estimators.augmentation import (
    AUGMENTATION_PRESETS,
    Augmentation,
    augmentation_settings,
)
from skattr._estimators.fine_tuning import FineTuning, fine_tuning_settings


class Host(BaseEstimator):
    """Takes both, as the classifier does."""

    def __init__(self, augment=None, freeze=None):
        self.augment = augment
        self.freeze = freeze


@pytest.mark.parametrize(
    "one", [Augmentation(flip=True, mixup=0.2), FineTuning("stages:2", layer_decay=0.7)]
)
def test_they_are_scikit_learns(one):
    """They clone, show what differs from the defaults, and the constructor only assigns."""
    copy = clone(one)
    assert copy is not one
    assert copy.get_params() == one.get_params()
    assert repr(one) in (
        "Augmentation(flip=True, mixup=0.2)",
        "FineTuning(freeze='stages:2', layer_decay=0.7)",
    )
    value = object()
    for name in one.get_params():
        assert getattr(type(one)(**{name: value}), name) is value


def test_a_grid_reaches_inside():
    """Nested names set their parameters."""
    host = Host(Augmentation(), FineTuning())
    host.set_params(augment__mixup=0.3, freeze__layer_decay=0.9)
    assert host.augment.settings()["mixup"] == 0.3
    assert host.freeze.settings()["layer_decay"] == 0.9


def test_settings_are_all_parameters():
    """Settings are what the constructor takes."""
    for one in (Augmentation(hue=0.1), FineTuning("backbone")):
        names = set(inspect.signature(type(one)).parameters)
        assert set(one.settings()) == names
        assert one.settings() == one.get_params()


def test_every_part_names_what_it_changes():
    """Each parameter that is on gives one line that begins with its name; defaults give none."""
    assert Augmentation().changes() == []
    for name in Augmentation().get_params():
        (line,) = Augmentation(**{name: True}).changes()
        assert line.startswith(f"{name}: ")
        assert len(line) > len(name) + 5


def test_presets():
    """Each is valid and in the docstring, and keeps what it is said to keep."""
    for name, preset in AUGMENTATION_PRESETS.items():
        assert augmentation_settings(name) == preset.settings()
        assert f'"{name}"' in Augmentation.__doc__
    words = {name: " ".join(preset.changes()) for name, preset in AUGMENTATION_PRESETS.items()}
    assert not [name for name, text in words.items() if "colors" in text]
    assert "left and right" not in words["light"] + words["shift"]
    assert "bright" not in words["geometry"]


def test_what_an_augmentation_may_be():
    """None and callables pass; an object is checked; a word that is none lists the valid ones."""
    assert augmentation_settings(None) is None
    assert augmentation_settings(len) is len
    assert augmentation_settings(Augmentation(zoom=0.1))["zoom"] == 0.1
    for wrong in ("spin", 3):
        with pytest.raises(ValueError, match=r"augment=.* valid are 'flip', .*'strong', an Augm"):
            augmentation_settings(wrong)


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("flip", 0.5, "bool"),
        ("shift", 0.6, r"\[0.0, 0.5\]"),
        ("shift", -0.1, r"\[0.0, 0.5\]"),
        ("zoom", 1.0, r"\[0.0, 1.0\)"),
        ("rotation", 181, r"\[0.0, 180.0\]"),
        ("brightness", "much", r"\[0.0, 1.0\)"),
        ("contrast", 1.5, r"\[0.0, 1.0\)"),
        ("saturation", -1, r"\[0.0, 1.0\)"),
        ("hue", 0.7, r"\[0.0, 0.5\]"),
        ("erase", 1, r"\[0.0, 1.0\)"),
        ("mixup", -0.2, r"\[0.0, inf\)"),
        ("mixup", None, r"\[0.0, inf\)"),
        ("test_flip", "yes", "bool"),
    ],
)
def test_invalid_strengths(name, value, valid):
    """An invalid value is named with its parameter and the valid ones."""
    with pytest.raises(ValueError, match=f"'{name}' parameter of Augmentation must be .*{valid}"):
        Augmentation(**{name: value}).settings()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"freeze": "layer1"}, "freeze='layer1' is unknown; valid are 'backbone', 'stages:N'"),
        ({"freeze": "stages:0"}, "freeze='stages:0' is unknown"),
        ({"freeze": "stages:two"}, "freeze='stages:two' is unknown"),
        ({"freeze": 2}, "'freeze' parameter of FineTuning must be"),
        ({"freeze": "backbone", "unfreeze_every": 0}, "'unfreeze_every' parameter of FineTuning"),
        ({"unfreeze_every": 2}, "unfreeze_every=2 thaws .* freeze=None freezes nothing"),
        ({"layer_decay": 0.0}, "'layer_decay' parameter of FineTuning"),
        ({"layer_decay": 1.1}, r"'layer_decay' .*\(0.0, 1.0\]"),
    ],
)
def test_invalid_fine_tuning(params, message):
    """An invalid value is named with its parameter and the valid ones."""
    with pytest.raises(ValueError, match=message):
        FineTuning(**params).settings()


@pytest.mark.parametrize("freeze", [None, "backbone", "stages:3"])
def test_a_word_stands_for_its_object(freeze):
    """A value of `freeze` alone is the object with that value."""
    assert fine_tuning_settings(freeze) == FineTuning(freeze).settings()
    assert fine_tuning_settings(FineTuning(freeze)) == FineTuning(freeze).settings()


def test_an_invalid_word():
    """So it is checked alike."""
    with pytest.raises(ValueError, match="freeze='head' is unknown"):
        fine_tuning_settings("head")
