"""Object categories from X or metadata, and the category priors of the classifier."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import KFold, cross_validate

from skattr import AttributeClassifier, Branches
from skattr._inputs.category import (
    category_codes,
    category_for_fit,
    category_series,
    read_categories,
    split_category,
)
from skattr.exceptions import SkattrWarning, UnseenCategoryWarning
from skattr.losses import CrossEntropyLoss
from tests.tiny_models import tiny

FAST = {"max_epochs": 8, "lr": 0.05, "batch_size": 16, "random_state": 0}


def problem(n=60):
    """Return features whose sign means the opposite for seals, labels, and categories."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    category = rng.choice(np.array(["boat", "seal"], dtype=object), n)
    blue = (X["a"] > 0) ^ (category == "seal")
    y = pd.DataFrame({"blue": blue, "size": np.digitize(X["b"], [-0.5, 0.5])})
    category[:5] = None
    return X, y, category


def with_category(X, category):
    """Return X with the column of categories."""
    return X.assign(category=category)


def matrix(classifier, X):
    """Return all probabilities side by side."""
    return np.hstack(classifier.predict_proba(X))


# --- reading -----------------------------------------------------------------------------------


def test_split_category():
    """The column is removed from features and stays in a table of paths; other X have none."""
    X, _, category = problem()
    rest, column = split_category(with_category(X, category))
    assert list(rest.columns) == ["a", "b"]
    assert_array_equal(column[5:], category[5:])
    assert column[:5].isna().all()
    files = pd.DataFrame({"path": ["a.png"], "category": ["seal"]})
    rest, column = split_category(files)
    assert rest is files
    assert list(column) == ["seal"]
    for other in (X, X.to_numpy(), ["a.png"], pd.Series(["a.png"])):
        assert split_category(other)[0] is other
        assert split_category(other)[1] is None


def test_the_column_is_never_a_feature():
    """A category has its position, whatever its type."""
    X, _, category = problem()
    text = (category, pd.Categorical(category), pd.array(category, dtype="string"))
    for labels in (np.arange(60), np.full(60, np.nan), *text):
        rest, column = split_category(with_category(X, labels))
        assert list(rest.columns) == ["a", "b"]
        assert len(column) == 60


def test_rejects_repeated_and_lone_columns():
    """A repeated column, and a column without features or paths, are errors."""
    X = pd.DataFrame(np.zeros((2, 2)), columns=["category", "category"])
    with pytest.raises(ValueError, match="X has the column 'category' more than once"):
        split_category(X)
    with pytest.raises(ValueError, match="only; it also needs features"):
        split_category(X.iloc[:, :1])


def test_sources_of_categories():
    """Categories come from the column or the metadata, and are required by a prior."""
    column, metadata = pd.Series(["a"]), ["b"]
    assert category_for_fit(None, column, metadata) is None
    assert category_for_fit("joint", column, None) is column
    assert category_for_fit("auxiliary", None, metadata) is metadata
    for prior in ("joint", "condition", "auxiliary"):
        with pytest.raises(ValueError, match="The category is given twice"):
            category_for_fit(prior, column, metadata)
        with pytest.raises(ValueError, match=f"category_prior='{prior}' needs the category"):
            category_for_fit(prior, None, None)
    with pytest.raises(ValueError, match="needs .* in fit and in prediction: a column 'category'"):
        category_for_fit("condition", None, metadata)


def test_categories_are_read():
    """Categories of any container are distinct, sorted and without missing ones."""
    labels = ["b", None, "a", "b"]
    for given in (
        labels,
        np.array(["b", np.nan, "a", "b"], dtype=object),
        pd.Series(["b", pd.NA, "a", "b"], index=[3, 3, 1, 0]),
        pd.Categorical(labels),
    ):
        values = category_series(given, 4)
        found = read_categories(values)
        assert found.tolist() == ["a", "b"]
        assert category_codes(values, found).tolist() == [1, -1, 0, 1]
    assert read_categories(pd.Series([2.0, np.nan, 1.0])).tolist() == [1, 2]
    for bad, sentence in [
        ([None, np.nan], "All categories are missing"),
        (["a", ("b", 1)], r"The category \('b', 1\) is neither a string nor a number"),
        (["a", 1], "The categories are of type int, str; they must all be strings or all be num"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            read_categories(pd.Series(bad))
    for bad in (["a", "b", "c"], "ab", {"a": 1, "b": 2}, np.array([["a"], ["b"]]), 3):
        with pytest.raises(
            ValueError, match=r"category has shape .*, but X has 2 row\(s\); it needs"
        ):
            category_series(bad, 2)


@pytest.mark.parametrize("n", [1, 10, 11])
def test_up_to_ten_unseen_categories_are_named(n):
    """The message counts the rows and has the first; more categories are dots."""
    names = [f"c{number:02}" for number in range(n)]
    values = pd.Series(["cat", None, *names, names[0]])
    with pytest.warns(UnseenCategoryWarning) as caught:
        codes = category_codes(values, np.array(["cat", "dog"]))
    assert codes.tolist() == [0, *[-1] * (n + 2)]
    message = str(caught[0].message)
    assert message.startswith(f"{n + 1} row(s), first row 2, have a category")
    listed = ", ".join(map(repr, names[:10])) + ", ..." * (n > 10)
    assert f"in training: {listed}; it counts" in message


def test_unseen_categories_warn_once():
    """The warning names number of rows, first row and categories, which become unknown."""
    known = np.array(["a", "b"])
    sentence = r"2 row\(s\), first row 1, have a category .* training: 'y', 'z'; it counts as"
    with pytest.warns(UnseenCategoryWarning, match=sentence) as caught:
        codes = category_codes(pd.Series(["a", "z", None, "y", "b"]), known)
    assert codes.tolist() == [0, -1, -1, -1, 1]
    assert len(caught) == 1
    with pytest.warns(UnseenCategoryWarning, match=r"'c08', 'c09', \.\.\.; it counts"):
        category_codes(pd.Series([f"c{number:02d}" for number in range(12)]), known)
    assert category_codes(pd.Series([None, pd.NA, np.nan]), known).tolist() == [-1, -1, -1]


# --- joint -------------------------------------------------------------------------------------


def test_joint_asks_for_the_category_in_training_only():
    """Column and metadata give the same network, which predicts without a category."""
    X, y, category = problem()
    by_column = AttributeClassifier(category_prior="joint", **FAST)
    by_column.fit(with_category(X, category), y)
    by_metadata = AttributeClassifier(category_prior="joint", **FAST).fit(X, y, category=category)
    arrays = AttributeClassifier(category_prior="joint", **FAST)
    arrays.fit(X.to_numpy(), y.to_numpy(), category=list(category))
    expected = matrix(by_column, X)
    assert_array_equal(matrix(by_metadata, X), expected)
    assert_array_equal(matrix(arrays, X.to_numpy()), expected)
    assert_array_equal(matrix(by_column, with_category(X, None)), expected)
    assert by_column.categories_.tolist() == ["boat", "seal"]
    assert by_column.feature_names_in_.tolist() == ["a", "b"]
    assert by_column.n_features_in_ == 2
    assert [levels.tolist() for levels in by_column.classes_] == [[False, True], [0, 1, 2]]
    assert by_column.get_feature_names_out().tolist() == ["blue", "size=0", "size=1", "size=2"]
    with pytest.raises(ValueError, match="given twice"):
        by_column.fit(with_category(X, category), y, category=category)
    with pytest.raises(ValueError, match="'joint' needs the category of each object in fit"):
        by_column.fit(X, y)


def test_joint_is_a_softmax_over_absent_and_categories():
    """P(attribute) is 1 - P(absent) of a softmax computed from the logits."""
    X, y, category = problem()
    classifier = AttributeClassifier(category_prior="joint", **FAST).fit(X, y, category=category)
    branches = classifier.net_.module_.branches
    columns = branches.layout.slices[0]
    weight, bias = (t.detach().numpy()[columns] for t in (branches.weight, branches.bias))
    scores = np.exp(X.to_numpy() @ weight.T + bias)
    assert scores.shape == (60, 3)
    absent = scores[:, 0] / scores.sum(axis=1)
    assert_allclose(classifier.predict_proba(X)[0][:, 1], 1 - absent)
    assert_array_equal(classifier.predict(X)[:, 0].astype(bool), absent < 0.5)


def test_joint_with_one_category_or_none_known_is_the_plain_softmax():
    """A label without category trains 'present', as it would with a single category."""
    X, y, _ = problem()
    one = AttributeClassifier(category_prior="joint", **FAST)
    one.fit(X, y, category=["thing"] * 60)
    some = AttributeClassifier(category_prior="joint", **FAST)
    some.fit(X, y, category=["thing"] * 20 + [None] * 40)
    plain = AttributeClassifier(branches=Branches("softmax"), **FAST).fit(X, y)
    assert_allclose(matrix(one, X), matrix(plain, X), rtol=1e-9)
    assert_allclose(matrix(some, X), matrix(plain, X), rtol=1e-9)


@pytest.mark.parametrize("prior", ["joint", "auxiliary"])
def test_files_and_images_with_categories(files, images, table, prior):
    """A column of a table of paths equals metadata with arrays of the same images."""
    category = np.where(np.arange(24) < 12, "seal", "boat")
    frame = pd.DataFrame({"path": files, "category": category})
    by_files = tiny(category_prior=prior).fit(frame, table)
    by_arrays = tiny(category_prior=prior).fit(images, table, category=category)
    assert_array_equal(matrix(by_files, files), matrix(by_arrays, images))
    assert_array_equal(matrix(by_files, frame), matrix(by_arrays, images))


def test_category_is_routed():
    """`set_fit_request(category=True)` takes the metadata through scikit-learn's tools."""
    X, y, category = problem()
    known = np.where(pd.isna(category), "boat", category)
    classifier = AttributeClassifier(category_prior="joint", **FAST)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_validate(
            classifier.set_fit_request(category=True), X, y, cv=KFold(3),
            params={"category": known}, error_score="raise", return_estimator=True,
        )  # fmt: skip
    train, _ = next(KFold(3).split(X))
    alone = AttributeClassifier(category_prior="joint", **FAST)
    alone.fit(X.iloc[train], y.iloc[train], category=known[train])
    assert_array_equal(matrix(scores["estimator"][0], X), matrix(alone, X))
    routed_not = AttributeClassifier(category_prior="joint", cross_fit=3, **FAST)
    assert routed_not.fit_transform(X, y, category=known).shape == (60, 4)


# --- condition ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conditioned():
    """Return a classifier whose features are modulated by the category."""
    X, y, category = problem()
    params = {**FAST, "max_epochs": 60}
    return AttributeClassifier(category_prior="condition", **params).fit(
        with_category(X, category), y
    )


def test_condition_depends_on_the_category(conditioned):
    """The network learns that the same features mean the opposite for another category."""
    X, y, category = problem()
    boat, seal = (matrix(conditioned, with_category(X, name)) for name in ("boat", "seal"))
    assert np.abs(boat - seal).max() > 0.3
    assert conditioned.feature_names_in_.tolist() == ["a", "b"]
    score = (conditioned.predict(with_category(X, category))[5:, 0] == y["blue"][5:]).mean()
    plain = AttributeClassifier(**{**FAST, "max_epochs": 60}).fit(X, y)
    assert score > 0.9 > 0.7 > (plain.predict(X)[5:, 0] == y["blue"][5:]).mean()
    transformed = conditioned.set_params(transform_output="features").transform(
        with_category(X, "seal")
    )
    conditioned.set_params(transform_output="proba")
    table = conditioned.net_.module_.modulation.table.detach().numpy()[1]
    assert_allclose(transformed, X * (1 + table[:2]) + table[2:])


def test_condition_needs_the_column_in_prediction(conditioned):
    """Without the column every prediction method raises an error."""
    X, y, _ = problem()
    for call in (conditioned.predict, conditioned.predict_proba, conditioned.transform):
        with pytest.raises(ValueError, match="'condition', but X has no column 'category'; add it"):
            call(X)
    with pytest.raises(ValueError, match="X has no column 'category'"):
        conditioned.score(X, y)
    with pytest.raises(ValueError, match="needs .* in fit and in prediction"):
        AttributeClassifier(category_prior="condition").fit(X.to_numpy(), y, category=["a"] * 60)


def test_condition_on_missing_or_unseen_categories(conditioned):
    """An unseen category predicts the same as None, with one warning per call."""
    X, y, _ = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unknown = matrix(conditioned, with_category(X, None))
        assert_array_equal(matrix(conditioned, with_category(X, np.nan)), unknown)
    for call in (conditioned.predict_proba, conditioned.transform, conditioned.predict):
        with pytest.warns(UnseenCategoryWarning, match="'whale'") as caught:
            found = call(with_category(X, "whale"))
        assert len(caught) == 1
        if call == conditioned.predict_proba:
            assert_array_equal(np.hstack(found), unknown)


def test_condition_on_files(files, table):
    """A table of paths has the column; a list of paths lacks it."""
    category = np.where(np.arange(24) < 12, "seal", None)
    frame = pd.DataFrame({"path": files, "category": category})
    classifier = tiny(category_prior="condition").fit(frame, table)
    assert matrix(classifier, frame).shape == (24, 9)
    with pytest.raises(ValueError, match="X has no column 'category'"):
        classifier.predict(files)


# --- none and auxiliary ------------------------------------------------------------------------


def test_warns_about_an_unused_numeric_column():
    """A numeric column with the name of the category is not a feature, which is a warning."""
    X = pd.DataFrame({"width": np.arange(20.0), "category": np.arange(20) % 2})
    y = np.arange(20) % 2
    with pytest.warns(SkattrWarning, match="not a feature; category_prior=None") as caught:
        classifier = AttributeClassifier(max_epochs=1).fit(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert classifier.n_features_in_ == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict(X)
        AttributeClassifier(max_epochs=1).fit(X.astype({"category": str}), y)
        AttributeClassifier(max_epochs=1, category_prior="joint").fit(X, y)


def test_without_a_prior_the_category_is_ignored():
    """With category_prior=None the column is ignored, so that a grid can compare all priors."""
    X, y, category = problem()
    plain = AttributeClassifier(**FAST).fit(X, y)
    ignoring = AttributeClassifier(**FAST).fit(with_category(X, category), y, category=category)
    assert_array_equal(matrix(ignoring, with_category(X, category)), matrix(plain, X))
    assert_array_equal(matrix(ignoring, X), matrix(plain, X))
    assert ignoring.feature_names_in_.tolist() == ["a", "b"]
    assert not hasattr(ignoring, "categories_")
    with pytest.warns(SkattrWarning, match="not a feature"):
        numeric = AttributeClassifier(**FAST).fit(with_category(X, np.arange(60) % 2), y)
    assert numeric.feature_names_in_.tolist() == ["a", "b"]
    untold = with_category(X, np.full(60, np.nan))
    assert_array_equal(matrix(numeric, untold), matrix(plain, X))
    used = AttributeClassifier(category_prior="joint", **FAST)
    used.fit(with_category(X, np.arange(60) % 2), y)
    assert used.categories_.tolist() == [0, 1]
    used.set_params(category_prior=None).fit(X, y)
    assert not hasattr(used, "categories_")


@pytest.mark.parametrize("n_categories", [1, 2, 3])
def test_auxiliary_trains_the_category_but_does_not_predict_it(n_categories):
    """Outputs are those of y; only the loss and thereby the network differ."""
    X, y, _ = problem()
    category = np.array(["boat", "seal", "sea"])[np.arange(60) % n_categories]
    plain = AttributeClassifier("mlp", **FAST).fit(X, y)
    classifier = AttributeClassifier("mlp", category_prior="auxiliary", **FAST)
    classifier.fit(X, y, category=category)
    assert [proba.shape[1] for proba in classifier.predict_proba(X)] == [2, 3]
    assert classifier.predict(X).shape == (60, 2)
    assert classifier.transform(X).shape == (60, 4) == (60, len(classifier.get_feature_names_out()))
    assert classifier.attribute_kinds_ == plain.attribute_kinds_
    differs = classifier.history_[0]["train_loss"] > plain.history_[0]["train_loss"] + 0.1
    assert differs == (n_categories > 1)
    assert np.allclose(matrix(classifier, X), matrix(plain, X)) == (n_categories == 1)


@pytest.mark.parametrize("unknown", ["ignore", "negative", "selective"])
def test_an_unknown_auxiliary_category_counts_nothing(unknown):
    """Two categories are not a binary attribute, under any policy for missing labels."""
    X, y, _ = problem()
    category = np.where(np.arange(60) % 2, "boat", "seal").astype(object)
    category[30:] = None
    classifier = AttributeClassifier(
        loss=CrossEntropyLoss(unknown=unknown, top_k=0), lr=1e-300, max_epochs=1, batch_size=7
    )
    plain = classifier.fit(X, y).history_[0]["train_loss"]
    classifier.set_params(category_prior="auxiliary").fit(X, y, category=category)
    loss = classifier.history_[0]["train_loss"]
    assert loss - plain == pytest.approx(np.log(2))  # 15 boats, 15 seals


def test_warm_start_needs_the_same_categories():
    """Equally many, but different categories are an error."""
    X, y, _ = problem()
    classifier = AttributeClassifier(category_prior="condition", warm_start=True, **FAST)
    classifier.fit(with_category(X, np.where(X["a"] > 0, "boat", "seal")), y)
    classifier.fit(with_category(X, np.where(X["a"] > 0, "seal", "boat")), y)
    with pytest.raises(ValueError, match="its categories or the form of its branches differ"):
        classifier.fit(with_category(X, np.where(X["a"] > 0, "boat", "whale")), y)
