"""Seeds of different purposes differ."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from skattr._training.seeds import seed_of

PURPOSES = ("initialization", "shuffling", "augmentation", "dropout", "mixup")


@given(st.integers(0, 2**31), st.integers(1, 10**6))
def test_seeds_differ(seed, epochs):
    """Seeds differ between purposes and after some epochs, and have 63 bits."""
    seeds = [
        seed_of(purpose, seed, before)
        for purpose, before in itertools.product(PURPOSES, (0, epochs))
    ]
    assert len(set(seeds)) == 10
    assert all(0 <= one < 2**63 for one in seeds)
    assert seed_of("dropout", seed, epochs) == seed_of("dropout", seed, epochs)
