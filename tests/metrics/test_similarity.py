"""Profiles and similarities of categories, compared with loops over rows."""

import math
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis.extra.numpy import arrays

from skattr.exceptions import SkattrWarning
from skattr.metrics import attribute_profiles, embedding_similarity, profile_similarity


@pytest.fixture
def labelled(rng):
    """Return 40 rows of a binary, a categorical and an ordinal attribute, and their categories."""
    y = pd.DataFrame(
        {
            "furry": pd.array(rng.random(40) < 0.4, dtype="boolean"),
            "color": rng.choice(["red", "green", "blue"], 40).astype(object),
            "size": pd.Categorical(rng.choice(["s", "l"], 40), ["s", "l"], ordered=True),
        }
    )
    y.loc[rng.random(40) < 0.3, "furry"] = pd.NA
    y.loc[rng.random(40) < 0.3, "color"] = None
    return y, rng.choice(["cat", "dog", "bus"], 40).astype(object)


def cosine(a, b):
    """Return the cosine of two lists of numbers, NaN if one is zero."""
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * z for x, z in zip(a, b, strict=True)) / lengths if lengths else math.nan


def test_profiles_are_shares_of_known_labels(labelled):
    """Each cell is the share of a label among the known labels of a category."""
    y, category = labelled
    profiles = attribute_profiles(y, category)
    assert profiles.index.tolist() == ["bus", "cat", "dog"]
    assert profiles.columns.tolist() == [
        "furry",
        "color=blue",
        "color=green",
        "color=red",
        "size=s",
        "size=l",
    ]
    for name in profiles.index:
        inside = y[category == name]
        assert profiles.attrs["n_rows"][name] == len(inside)
        for column in profiles.columns:
            attribute, _, level = column.partition("=")
            known = [label for label in inside[attribute] if not pd.isna(label)]
            hits = [label for label in known if label == (level or True)]
            assert profiles.loc[name, column] == pytest.approx(len(hits) / len(known))
            assert profiles.attrs["n_known"][attribute][name] == len(known)


def test_a_category_without_a_known_label_is_nan(labelled):
    """It is NaN, not 0, and has a count of 0."""
    y, category = labelled
    y.loc[category == "dog", "furry"] = pd.NA
    profiles = attribute_profiles(y, category)
    assert math.isnan(profiles.loc["dog", "furry"])
    assert profiles.attrs["n_known"]["furry"]["dog"] == 0
    assert profiles.drop(index="dog").notna().all(axis=None)


def test_forms_of_y_and_category(rng):
    """Arrays, `missing_label`, and the order of a pandas categorical."""
    y = rng.integers(0, 2, (12, 2))
    marked = y.copy()
    marked[3, 0] = -1
    unknown = marked.astype(float)
    unknown[3, 0] = np.nan
    kinds = pd.Categorical(["b", "a", "c"] * 4, categories=["c", "b", "x", "a"])
    found = attribute_profiles(marked, kinds, missing_label=-1)
    assert found.index.tolist() == ["c", "b", "a"] and found.columns.tolist() == ["y0", "y1"]
    pd.testing.assert_frame_equal(found, attribute_profiles(unknown, kinds))
    series = pd.Series(np.asarray(kinds, dtype=object), name="kind", index=range(5, 17))
    assert attribute_profiles(unknown, series).index.name == "kind"
    declared = attribute_profiles(y, kinds, attributes={"y0": "categorical"})
    assert declared.columns.tolist() == ["y0=0", "y0=1", "y1"]
    mixed = attribute_profiles(y, np.array([1, "a"] * 6, dtype=object))
    assert len(mixed) == 2


def test_rejects_profiles_with_two_columns_of_one_name():
    """A level of one attribute may be spelled like another attribute."""
    y = pd.DataFrame({"color": ["red", "blue", "gray"], "color=red": [0, 1, 1]})
    message = "'color=red': the level 'red' of the attribute 'color' and the attribute 'color=red'"
    with pytest.raises(ValueError, match=message):
        attribute_profiles(y, ["dog", "cat", "dog"])


def test_missing_categories_are_left_out_with_a_warning(labelled):
    """The warning has their number, and they have no effect."""
    y, category = labelled
    category[[0, 5]] = None
    keep = pd.notna(category)
    embeddings = np.arange(120.0).reshape(40, 3) % 7
    with pytest.warns(SkattrWarning, match="2 of 40 rows are left out: their category is missing"):
        profiles = attribute_profiles(y, category)
    pd.testing.assert_frame_equal(profiles, attribute_profiles(y[keep], category[keep]))
    embeddings[7] = np.nan
    both = "2 of 40 rows .* missing. 1 of 40 rows are left out: they are all NaN"
    with pytest.warns(SkattrWarning, match=both):
        similarity = embedding_similarity(embeddings, category, center=True)
    keep[7] = False
    wanted = embedding_similarity(embeddings[keep], category[keep], center=True)
    pd.testing.assert_frame_equal(similarity, wanted)
    assert similarity.attrs == wanted.attrs


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_profile_similarity_equals_loops(rng, metric, unknown):
    """Pairs of rows are compared over the columns both have."""
    values = rng.random((5, 9))
    values[rng.random(values.shape) < unknown] = np.nan
    profiles = pd.DataFrame(values, index=list("abcde"))
    found = profile_similarity(profiles, metric)
    assert found.index.equals(profiles.index) and found.columns.equals(profiles.index)
    for i in range(5):
        for j in range(5):
            pairs = [p for p in zip(values[i], values[j], strict=True) if not np.isnan(p).any()]
            one, other = zip(*pairs, strict=True)
            if metric == "correlation":
                wanted = np.corrcoef(one, other)[0, 1]
            else:
                wanted = cosine(one, other)
            np.testing.assert_allclose(found.iloc[i, j], wanted, atol=1e-12)


def test_undefined_similarities_are_nan(rng):
    """One warning has their number and the reason."""
    profiles = pd.DataFrame([[0.1, 0.1, 0.1], [0.2, 0.4, 0.9], [0, 0, 0]], index=list("abc"))
    with pytest.warns(SkattrWarning, match="5 of 9 similarities .* 'a' and 'c'.* all zero"):
        found = profile_similarity(profiles)
    assert found.isna().sum().sum() == 5
    with pytest.warns(SkattrWarning, match="8 of 9 .* constant"):
        found = profile_similarity(profiles, "correlation")
    assert found.loc["b", "b"] == 1.0
    profiles = pd.DataFrame([[0.5, np.nan], [np.nan, 0.5]], index=list("ab"))
    with pytest.warns(SkattrWarning, match="2 of 4"):
        assert math.isnan(profile_similarity(profiles).loc["a", "b"])


@hypothesis.given(
    arrays(
        np.float64,
        (4, 5),
        elements=st.one_of(st.floats(0, 1, width=16), st.sampled_from([0.0, 1.0, 0.1, math.nan])),
    ),
    st.sampled_from(["cosine", "correlation"]),
)
def test_any_profile_similarity_is_symmetric_and_bounded(values, metric):
    """From -1 to 1, 1 on the diagonal, and independent of the scale of rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkattrWarning)
        found = profile_similarity(pd.DataFrame(values), metric).to_numpy()
        scaled = profile_similarity(pd.DataFrame(values * 2.0), metric).to_numpy()
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(found, scaled)
    defined = found[~np.isnan(found)]
    assert (np.abs(defined) <= 1).all()
    assert np.isin(np.diagonal(found)[~np.isnan(np.diagonal(found))], 1).all()


@pytest.mark.parametrize("center", [False, True])
def test_embedding_similarity_equals_loops(rng, center):
    """Between means of categories, and between pairs of rows within and across them."""
    rows = rng.random((14, 4)) * rng.uniform(0.1, 9, (14, 1))
    category = np.array(["bus"] + ["cat", "dog"] * 5 + ["dog", "dog", "cat"])
    found = embedding_similarity(rows, category, center=center)
    if center:
        rows = rows - rows.mean(axis=0)
    names = ["bus", "cat", "dog"]
    assert found.index.tolist() == found.columns.tolist() == names
    assert found.attrs["n_rows"] == {"bus": 1, "cat": 6, "dog": 7}
    across = []
    for a in names:
        for b in names:
            means = rows[category == a].mean(axis=0), rows[category == b].mean(axis=0)
            assert found.loc[a, b] == pytest.approx(cosine(*means))
        inside = rows[category == a]
        pairs = [cosine(inside[i], inside[j]) for i in range(len(inside)) for j in range(i)]
        if pairs:
            assert found.attrs["within"][a] == pytest.approx(np.mean(pairs))
        across += [cosine(x, z) for x in inside for z in rows[category != a]]
    assert math.isnan(found.attrs["within"]["bus"])
    assert found.attrs["between"] == pytest.approx(np.mean(across))


def test_rows_of_zeros(rng):
    """They count in means but in no pair; a category of zeros has no similarity."""
    rows = np.array([[0.0, 0], [0, 0], [1, 0], [0, 0], [1, 1]])
    found = embedding_similarity(rows, ["a", "a", "b", "b", "b"])
    assert found.isna().to_numpy().tolist() == [[True, True], [True, False]]
    assert math.isnan(found.attrs["within"]["a"])
    assert found.attrs["within"]["b"] == pytest.approx(math.sqrt(0.5))
    assert math.isnan(found.attrs["between"])


def test_similarity_from_profiles_to_labels(labelled):
    """Profiles go into the similarity as they come out."""
    y, category = labelled
    found = profile_similarity(attribute_profiles(y, category))
    assert found.shape == (3, 3) and (np.diagonal(found) == 1).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: attribute_profiles([1, 0], ["a"]), ValueError, "1 entries, .* 2 rows"),
        (lambda: attribute_profiles([1, 0], [None, None]), ValueError, "No row is left"),
        (lambda: attribute_profiles([1.5, 0], ["a", "b"]), ValueError, "continuous"),
        (lambda: attribute_profiles([1, 0], np.ma.array([1, 2])), TypeError, "masked"),
        (lambda: profile_similarity(np.eye(2)), TypeError, "must be a DataFrame; got ndarray"),
        (lambda: profile_similarity(pd.DataFrame([[np.inf]])), ValueError, "row 0, column 0"),
        (lambda: profile_similarity(pd.DataFrame(np.eye(2)), "dot"), ValueError, "`metric`"),
        (lambda: embedding_similarity([1, 2], ["a", "b"]), ValueError, r"shape \(n, n_features\)"),
        (lambda: embedding_similarity([[1, np.nan]], ["a"]), ValueError, "row 0 is not finite"),
        (lambda: embedding_similarity([[np.nan]], ["a"]), ValueError, "No row .* all NaN"),
        (lambda: embedding_similarity(np.ma.array([[1.0]]), ["a"]), TypeError, "masked"),
    ],
)
def test_bad_input_gets_a_sentence(call, error, message):
    """What is wrong is named."""
    with pytest.raises(error, match=message):
        call()
