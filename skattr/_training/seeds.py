"""Seeds of the random number generators of training."""

import numpy as np

_PURPOSES = ("initialization", "shuffling", "augmentation", "dropout", "mixup", "transforms")


def seed_of(purpose: str, seed: int, epochs_before: int = 0) -> int:
    """Return a seed that differs between purposes and between continued trainings.

    Parameters
    ----------
    purpose : {"initialization", "shuffling", "augmentation", "dropout", "mixup", "transforms"}
    seed : int
        Seed of all randomness.
    epochs_before : int
        Number of epochs trained before the current call.

    Examples
    --------
    >>> len({seed_of("dropout", 0), seed_of("dropout", 0, 3), seed_of("mixup", 0)})
    3
    """
    entropy = [seed, _PURPOSES.index(purpose)]
    if epochs_before:
        entropy.append(epochs_before)
    sequence = np.random.SeedSequence(entropy)
    # One bit less than 64: torch's generators take signed integers.
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
