"""FineTuning: valid values and their shorthand."""

import pytest

from skattr import FineTuning
from skattr._estimators.options import resolve


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"freeze": "layer1"}, "must be None, 'backbone' or 'stages:N' with N >= 1; got 'layer1'"),
        ({"freeze": "stages:0"}, "got 'stages:0'"),
        ({"freeze": "stages:two"}, "got 'stages:two'"),
        ({"freeze": 2}, "'freeze' parameter of FineTuning must be"),
        ({"freeze": "backbone", "unfreeze_every": 0}, "'unfreeze_every' parameter of FineTuning"),
        ({"unfreeze_every": 2}, "unfreeze_every=2 needs frozen stages, but freeze is None"),
        ({"layer_decay": 0.0}, "'layer_decay' parameter of FineTuning"),
        ({"layer_decay": 1.1}, r"'layer_decay' .*\(0.0, 1.0\]"),
    ],
)
def test_rejects_invalid_values(params, message):
    """The error names the parameter and its valid values."""
    with pytest.raises(ValueError, match=message):
        FineTuning(**params).settings()


@pytest.mark.parametrize("freeze", [None, "backbone", "stages:3"])
def test_string_is_shorthand_for_the_object(freeze):
    """A value of `freeze` is shorthand for the object with this value."""
    assert resolve(FineTuning, freeze).settings() == FineTuning(freeze).settings()
    assert resolve(FineTuning, FineTuning(freeze)).settings() == FineTuning(freeze).settings()


def test_rejects_an_invalid_shorthand():
    """The shorthand is checked like the object."""
    with pytest.raises(ValueError, match="freeze .*must be None, 'backbone' or .*got 'head'"):
        resolve(FineTuning, "head")
