"""Thresholds given by the caller instead of tuned."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skattr._targets.alignment import dict_if_named
from skattr._targets.columns import reject_masked
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr.thresholds._risk_control import safest_threshold

FixedThresholds = float | ArrayLike | Mapping[Any, float] | pd.Series


def check_fixed_thresholds(
    given: FixedThresholds | str, encoder: AttributeEncoder, is_proba: bool
) -> None:
    """Raise if given thresholds are invalid; "tune" always passes.

    Parameters
    ----------
    given : "tune", float, dict by name, or array-like
    encoder : AttributeEncoder
    is_proba : bool
        Whether the thresholds are those of probabilities.
    """
    if isinstance(given, str):
        return
    values = read_fixed_thresholds(given, encoder)
    # Tuning itself returns the next float32 above 1 for a label that is never to be predicted;
    # such a result must be accepted as a fixed threshold.
    outside = (values < 0) | (values > safest_threshold(False, True))
    if is_proba and outside.any():
        j = int(outside.argmax())
        raise ValueError(
            f"thresholds: that of output {encoder.output_names_[j]!r} is {values[j]:g}; thresholds "
            "of probabilities must lie in [0, 1], and only those of decisions "
            "(response_method='decision_function') may be any number."
        )


def read_fixed_thresholds(given: FixedThresholds, encoder: AttributeEncoder) -> NDArray[np.float64]:
    """Return one threshold per output, NaN for outputs that are not binary.

    Parameters
    ----------
    given : float, dict by name, or array-like
        One for all binary outputs; one per name; one per output, NaN if it is not binary; or one
        per binary output.
    encoder : AttributeEncoder

    Raises
    ------
    ValueError
        If their number is wrong, or one is missing.
    """
    binary = is_binary(encoder)
    names = encoder.output_names_
    binary_names = [name for name, flag in zip(names, binary, strict=True) if flag]
    if isinstance(given, pd.Series):  # such as best_threshold_, NaN where it is not binary
        given = dict_if_named(given)
        if isinstance(given, Mapping) and set(given) == set(names):
            given = {n: value for n, value in given.items() if n in binary_names or pd.notna(value)}
    if isinstance(given, Mapping):
        given = _read_named_thresholds(given, binary_names)
    reject_masked(given, "thresholds")
    values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(len(binary_names), float(values))
    if values.shape == binary.shape and not binary.all():
        if not np.isnan(values[~binary]).all():
            raise ValueError(
                "thresholds must be NaN for outputs that are not binary: "
                f"{[name for name in names if name not in binary_names]}."
            )
        values = values[binary]
    if values.shape != (len(binary_names),):
        raise ValueError(
            "thresholds must be 'tune', a number, or one number for each of the "
            f"{len(binary_names)} binary output(s) {binary_names}; got shape {values.shape}."
        )
    if np.isnan(values).any():
        raise ValueError(
            f"The threshold of {binary_names[int(np.isnan(values).argmax())]!r} is NaN."
        )
    return expand_to_outputs(values, binary)


def _read_named_thresholds(given: Mapping[Any, float], binary_names: list[Any]) -> list[float]:
    absent = [name for name in binary_names if name not in given]
    unexpected = [name for name in given if name not in binary_names]
    if absent or unexpected:
        problems = [f"{absent} are lacking"] * bool(absent)
        problems += [f"{unexpected} are not binary outputs"] * bool(unexpected)
        raise ValueError(
            "thresholds by name must name all binary outputs and no others: "
            f"{', and '.join(problems)}; the binary outputs are {binary_names}."
        )
    return [given[name] for name in binary_names]


def expand_to_outputs(
    values: NDArray[np.float64], binary: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return values of the binary outputs as values of all outputs, NaN for the others."""
    result = np.full((*values.shape[:-1], len(binary)), np.nan)
    result[..., binary] = values
    return result
