"""Seeds of all that draws random numbers in training."""

import numpy as np

_PURPOSES = ("initialization", "shuffling", "augmentation", "dropout", "mixup")


def seed_of(purpose: str, seed: int, epochs_before: int = 0) -> int:
    """Return the seed for a purpose: another for each, and for each time training goes on.

    Parameters
    ----------
    purpose : {"initialization", "shuffling", "augmentation", "dropout", "mixup"}
    seed : int
        Of all randomness.
    epochs_before : int
        Epochs trained before the present call.

    Examples
    --------
    >>> len({seed_of("dropout", 0), seed_of("dropout", 0, 3), seed_of("mixup", 0)})
    3
    """
    entropy = [seed, _PURPOSES.index(purpose)]
    if epochs_before:
        entropy.append(epochs_before)
    sequence = np.random.SeedSequence(entropy)
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
