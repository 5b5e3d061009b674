"""Augmentation: valid strengths, presets, and descriptions of the changes."""

import pytest

from skattr._estimators.augmentation import (
    AUGMENTATION_PRESETS,
    Augmentation,
    as_augmentation,
    augmentation_settings,
)


def test_every_change_is_described():
    """Each enabled change gives one line that begins with its name; the defaults give none."""
    assert Augmentation().changes() == []
    for name in Augmentation().get_params():
        (line,) = Augmentation(**{name: True}).changes()
        assert line.startswith(f"{name}: ")
        assert len(line) > len(name) + 5


def test_presets():
    """Each preset is valid and documented, and preserves what its documentation says."""
    for name, preset in AUGMENTATION_PRESETS.items():
        assert augmentation_settings(name) == preset.settings()
        assert f'"{name}"' in Augmentation.__doc__
    words = {name: " ".join(preset.changes()) for name, preset in AUGMENTATION_PRESETS.items()}
    assert not [name for name, text in words.items() if "colors" in text]
    assert "left and right" not in words["light"] + words["shift"]
    assert "bright" not in words["geometry"]


def test_valid_values_of_augment():
    """None and callables pass, an object is checked, any other value raises with the valid ones."""
    assert augmentation_settings(None) is None
    assert augmentation_settings(len) is len
    assert augmentation_settings(Augmentation(zoom=0.1))["zoom"] == 0.1
    for wrong in ("spin", 3):
        with pytest.raises(ValueError, match=r"augment must be one of 'flip', .*'strong', an Augm"):
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
def test_rejects_invalid_strengths(name, value, valid):
    """The error names the parameter and its valid values."""
    with pytest.raises(ValueError, match=f"'{name}' parameter of Augmentation must be .*{valid}"):
        Augmentation(**{name: value}).settings()


def test_presets_become_objects_to_set_parameters_of():
    """A preset gives a copy, so that setting one of its parameters does not change the preset."""
    for name, preset in AUGMENTATION_PRESETS.items():
        copy = as_augmentation(name)
        assert copy is not preset
        assert copy.settings() == preset.settings()
    assert as_augmentation(None).settings() == Augmentation().settings()
    assert as_augmentation(len) is len
    assert as_augmentation("spin") == "spin"
