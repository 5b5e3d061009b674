"""Seeds of purposes, and a fork that restores the global generator."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from skattr._training.seeds import forked_rng, seed_of

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


def test_a_fork_restores():
    """Draws in the context depend on the seed; afterwards the global state is restored."""
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with forked_rng(3):
            draws.append(torch.rand(2))
    assert torch.equal(*draws)
    assert torch.equal(torch.get_rng_state(), before)
