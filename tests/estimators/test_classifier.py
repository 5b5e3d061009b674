"""The classifier over every kind of images, in scikit-learn's tools."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import Callback

from skattr import AttributeClassifier, Branches, TrainingOptions
from tests.tiny_models import tiny

KINDS = ["arrays", "gray", "paths", "path array", "boxes"]


@pytest.fixture(params=KINDS)
def X(request, images, files, tmp_path):
    """Return the same 24 images as each kind of X."""
    if request.param == "arrays":
        return images
    if request.param == "gray":
        return images[..., 1]
    if request.param == "paths":
        return files
    if request.param == "path array":
        return np.array(files)
    big = tmp_path / "all.png"
    Image.fromarray(np.concatenate(list(images), axis=1)).save(big)
    starts = 10 * np.arange(24)
    return pd.DataFrame(
        {"path": str(big), "xmin": starts, "ymin": 0, "xmax": starts + 10, "ymax": 12}
    )


def complete(table):
    """Return the table without missing labels, as strings and numbers."""
    return pd.DataFrame(
        {
            "hat": table["hat"].fillna(False).astype(bool),
            "color": table["color"].fillna("red"),
            "count": table["count"].fillna(1.0),
        }
    )


def subset(X, rows):
    """Take rows of any kind of X."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows]
    return [X[row] for row in rows] if isinstance(X, list) else X[rows]


def all_probabilities(classifier, X):
    """Return the probabilities of all attributes side by side."""
    return np.hstack(classifier.predict_proba(X))


def known_accuracy(y_true, y_pred):
    """Return the share of the known labels that are predicted."""
    y_true = np.asarray(y_true, dtype=object)
    known = ~pd.isna(y_true)
    return (np.asarray(y_pred, dtype=object)[known] == y_true[known]).mean()


def first_column_accuracy(y_true, y_pred):
    """Return the accuracy of the first attribute."""
    return known_accuracy(np.asarray(y_true)[:, :1], y_pred[:, :1])


SCORING = {
    "known": make_scorer(known_accuracy),
    "hat": make_scorer(first_column_accuracy),
}


def test_two_fits_are_bit_identical(X, table):
    """The same seed gives a bit-identical network."""
    first, second = tiny().fit(X, table), tiny().fit(X, table)
    assert_array_equal(all_probabilities(first, X), all_probabilities(second, X))
    assert first.history_[-1]["train_loss"] == second.history_[-1]["train_loss"]


def test_a_refit_forgets_the_first_fit(X, table):
    """A second fit of the same estimator starts from scratch."""
    once = tiny().fit(X, table)
    again = tiny().fit(subset(X, range(12)), table[:12]).fit(X, table)
    assert_array_equal(all_probabilities(once, X), all_probabilities(again, X))


def test_pickle_is_bit_identical(X, table):
    """A pickled classifier predicts bit-identical probabilities."""
    classifier = tiny().fit(X, table)
    copy = pickle.loads(pickle.dumps(classifier))
    assert_array_equal(all_probabilities(classifier, X), all_probabilities(copy, X))
    assert_array_equal(classifier.predict(X), copy.predict(X))


def test_row_order_and_batch_size_do_not_matter(X, table, rng):
    """Predictions of a row depend on neither the other rows nor the batch size."""
    classifier = tiny().fit(X, table)
    expected = all_probabilities(classifier, X)
    order = rng.permutation(24)
    assert_allclose(all_probabilities(classifier, subset(X, order)), expected[order], atol=1e-5)
    for batch_size in (1, 5, 100):
        classifier.net_.set_params(batch_size=batch_size)
        assert_allclose(all_probabilities(classifier, X), expected, atol=1e-5)


def test_clone_is_unfitted_and_equal(X, table):
    """A clone has the parameters and none of the fit."""
    classifier = tiny().fit(X, table)
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert not hasattr(copy, "net_")


def test_cross_validate_with_several_scorers(X, table):
    """Several scorers at once, with missing labels."""
    result = cross_validate(tiny(), X, table, cv=KFold(3), scoring=SCORING, error_score="raise")
    assert result["test_known"].shape == result["test_hat"].shape == (3,)
    assert np.isfinite(result["test_known"]).all()


def test_grid_search_over_two_parameters(X, table):
    """GridSearchCV refits the best candidate, which predicts the user's labels."""
    grid = {"lr": [1e-3, 1e-2], "branches__hidden": [None, 4]}
    search = GridSearchCV(
        tiny(), grid, cv=KFold(2), scoring=SCORING, refit="known", error_score="raise"
    ).fit(X, table)
    assert len(search.cv_results_["params"]) == 4
    assert set(np.ravel(search.predict(X)[:, 1])) <= {"blue", "green", "red"}


def test_pipeline_with_memory(X, table, tmp_path):
    """A fitted network is found again in the cache of a Pipeline."""
    steps = [("net", tiny(cross_fit=2)), ("scale", StandardScaler()), ("out", "passthrough")]
    pipeline = Pipeline(steps, memory=str(tmp_path / "cache"))
    first = pipeline.fit_transform(X, table)
    seconds = pipeline.named_steps["net"].history_[-1]["dur"]
    assert_array_equal(pipeline.fit_transform(X, table), first)
    assert pipeline.named_steps["net"].history_[-1]["dur"] == seconds
    assert list(pipeline.get_feature_names_out())[:2] == ["hat", "color=blue"]


def test_pipeline_that_ends_in_the_classifier(X, table):
    """A Pipeline hands images through and predicts."""
    pipeline = make_pipeline(FunctionTransformer(), tiny())
    expected = tiny().fit(X, table).predict(X)
    assert_array_equal(pipeline.fit(X, table).predict(X), expected)


@pytest.mark.slow
def test_results_do_not_depend_on_n_jobs(X, table):
    """Worker processes change no score."""
    run = partial(
        cross_validate, tiny(), X, table, cv=KFold(2), scoring=SCORING, error_score="raise"
    )
    assert_array_equal(run(n_jobs=2)["test_known"], run()["test_known"])


def test_all_kinds_of_one_image_predict_the_same(images, files, table):
    """Arrays, paths and boxes that show the same pixels are one and the same to the network."""
    classifier = tiny().fit(images, table)
    expected = all_probabilities(classifier, images)
    assert_array_equal(all_probabilities(classifier, files), expected)
    boxes = pd.DataFrame({"path": files, "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 12})
    assert_array_equal(all_probabilities(classifier, boxes), expected)


def test_results_do_not_depend_on_threads(images, table):
    """Fits in threads side by side, which share the global random state, stay as they are."""
    from joblib import Parallel, delayed

    def fit(seed):
        return all_probabilities(tiny(random_state=seed).fit(images, table), images)

    seeds = range(4)
    serial = [fit(seed) for seed in seeds]
    threaded = Parallel(n_jobs=4, backend="threading")(delayed(fit)(seed) for seed in seeds)
    for one, other in zip(serial, threaded, strict=True):
        assert_array_equal(one, other)


def test_fit_learns_visible_attributes(images, table):
    """The attributes that the images show are learned."""
    classifier = tiny(max_epochs=60, lr=0.02).fit(images, table)
    assert classifier.score(images, table[["hat", "color", "count"]]) > 0.4
    predicted = classifier.predict(images)
    assert known_accuracy(table.to_numpy(object)[:, :2], predicted[:, :2]) > 0.95


def test_predicted_labels_have_the_dtype_of_y(images, table):
    """Names, classes, dtypes and shapes follow the contract of several outputs."""
    classifier = tiny().fit(images, table)
    assert classifier.output_names_ == ["hat", "color", "count"]
    assert classifier.attribute_kinds_ == ["binary", "categorical", "categorical"]
    assert [levels.dtype.kind for levels in classifier.classes_] == ["b", "U", "f"]
    assert [len(levels) for levels in classifier.classes_] == [2, 3, 4]
    predicted = classifier.predict(images)
    assert predicted.shape == (24, 3)
    assert isinstance(predicted[0, 0], bool | np.bool_)
    assert predicted[0, 1] in {"blue", "green", "red"}
    probas = classifier.predict_proba(images)
    assert [proba.shape for proba in probas] == [(24, 2), (24, 3), (24, 4)]
    for proba in probas:
        assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    assert not hasattr(classifier, "n_features_in_")
    assert not hasattr(classifier, "decision_function")


@pytest.mark.parametrize("two_dimensional", [False, True])
def test_one_output_is_a_plain_classifier(images, table, two_dimensional):
    """One attribute gives 1-D classes, predictions and a 2-D matrix, as everywhere."""
    y = complete(table)[["color"]] if two_dimensional else complete(table)["color"].tolist()
    classifier = tiny().fit(images, y)
    assert_array_equal(classifier.classes_, ["blue", "green", "red"])
    assert classifier.predict(images).shape == (24,)
    assert classifier.predict_proba(images).shape == (24, 3)
    expected = accuracy_score(np.ravel(y), classifier.predict(images))
    assert classifier.score(images, y) == pytest.approx(expected)
    scores = cross_validate(
        tiny(), images, np.ravel(y), cv=StratifiedKFold(2),
        scoring=["accuracy", "neg_log_loss", "roc_auc_ovr"], error_score="raise",
    )  # fmt: skip
    assert np.isfinite(scores["test_neg_log_loss"]).all()


def test_scorers_agree_for_one_ordinal_output(images, table):
    """The classes of a single output are sorted, as scorers assume, also for ordinal attributes."""
    y = complete(table)["color"]
    order = ["red", "blue", "green"]
    classifier = tiny(attributes={"color": ("ordinal", order)}).fit(images, y)
    assert_array_equal(classifier.classes_, ["blue", "green", "red"])
    assert classifier.attribute_kinds_ == ["ordinal"]
    best = classifier.classes_[classifier.predict_proba(images).argmax(axis=1)]
    assert_array_equal(best, classifier.predict(images))


def test_score_is_the_exact_match_over_known_labels(images, table):
    """`score` equals its definition, row by row."""
    classifier = tiny(max_epochs=20).fit(images, table)
    predicted = classifier.predict(images)
    truth = table.to_numpy(object)
    hits = [
        all(pd.isna(t) or t == p for t, p in zip(*rows, strict=True))
        for rows in zip(truth, predicted, strict=True)
    ]
    assert classifier.score(images, table) == pytest.approx(np.mean(hits))
    weights = np.arange(24.0)
    expected = np.average(hits, weights=weights)
    assert classifier.score(images, table, sample_weight=weights) == pytest.approx(expected)


def test_score_leaves_out_rows_without_a_label(images, table):
    """A row of missing labels is neither right nor wrong."""
    classifier = tiny().fit(images, table)
    blank = table.copy()
    blank.iloc[:12] = None
    assert classifier.score(images, blank) == classifier.score(images[12:], table[12:])


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_transform_returns_named_columns(images, table, binary_head):
    """One column per binary attribute, one per class of the others, as probabilities."""
    classifier = tiny(branches=Branches(binary_head)).fit(images, table)
    columns = classifier.transform(images)
    names = list(classifier.get_feature_names_out())
    assert names[:4] == ["hat", "color=blue", "color=green", "color=red"]
    assert columns.shape == (24, len(names)) == (24, 8)
    hat, color, count = classifier.predict_proba(images)
    assert_allclose(columns, np.hstack([hat[:, 1:], color, count]), atol=1e-7)
    classifier.set_params(transform_output="logit")
    logits = classifier.transform(images)
    assert_allclose(1 / (1 + np.exp(-logits[:, 0])), hat[:, 1], atol=1e-6)
    assert_allclose(np.exp(logits[:, 1:4]), color, atol=1e-6)


def test_transform_to_features_and_to_pandas(images, table):
    """The shared features leave as a named DataFrame if asked."""
    classifier = tiny(transform_output="features").set_output(transform="pandas")
    frame = classifier.fit(images, table).transform(images)
    assert list(frame.columns) == [f"feature{j}" for j in range(8)]
    assert frame.shape == (24, 8)


def test_weights_are_routed(images, table, rng):
    """`sample_weight` and `label_weight` reach fit through scikit-learn's routing."""
    import sklearn

    weight, label_weight = rng.random(24), rng.random((24, 3))
    expected = tiny().fit(images, table, sample_weight=weight, label_weight=label_weight)
    with sklearn.config_context(enable_metadata_routing=True):
        request = tiny().set_fit_request(sample_weight=True, label_weight=True)
        request.set_score_request(sample_weight=False)
        pipeline = make_pipeline(FunctionTransformer(), request)
        pipeline.fit(images, table, sample_weight=weight, label_weight=label_weight)
        search = GridSearchCV(request, {"lr": [1e-3]}, cv=KFold(2), error_score="raise")
        search.fit(images, table, sample_weight=weight, label_weight=label_weight)
    given = all_probabilities(pipeline[-1], images)
    assert_array_equal(given, all_probabilities(expected, images))
    assert_array_equal(all_probabilities(search.best_estimator_, images), given)


def test_label_weight_slices_without_routing(images, table, rng):
    """GridSearchCV cuts (n, L) weights along with the rows."""
    search = GridSearchCV(tiny(), {"lr": [1e-3]}, cv=KFold(2), error_score="raise")
    search.fit(images, table, label_weight=rng.random((24, 3)))
    assert np.isfinite(search.best_score_)


def test_warm_start_continues(images, table):
    """With warm_start the second fit starts from the network of the first."""
    classifier = tiny(warm_start=True, max_epochs=20, lr=0.02, training=TrainingOptions(None))
    first = classifier.fit(images, table).history_
    second = classifier.fit(images, table).history_
    assert second[0]["train_loss"] < first[0]["train_loss"] - 0.1
    with pytest.raises(ValueError, match="warm_start=True continues from the previous fit"):
        classifier.fit(images, table[["hat"]])


def test_html_and_text_representations():
    """The estimator shows its changed parameters, in a terminal and as HTML."""
    assert "lr=0.5" in repr(AttributeClassifier(lr=0.5))
    assert "AttributeClassifier" in AttributeClassifier()._repr_html_()


def test_arrays_of_another_size_are_resized(images, table):
    """Images in memory are brought to `image_size` as files are."""
    classifier = tiny(image_size=9).fit(images, table)
    assert classifier.predict(images).shape == (24, 3)


@pytest.mark.gpu
def test_cuda_fits_and_predicts(images, table):
    """The same code trains on a GPU, and its pickle predicts on the CPU."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    classifier = tiny(device="cuda", max_epochs=60, lr=0.02).fit(images, table)
    assert known_accuracy(table.to_numpy(object)[:, :2], classifier.predict(images)[:, :2]) > 0.9
    copy = pickle.loads(pickle.dumps(classifier))
    assert_array_equal(copy.predict(images), classifier.predict(images))


class Failing(Callback):
    """A callback that fails after the first epoch."""

    def on_epoch_end(self, net, **kwargs):
        """Fail."""
        raise ValueError("failed on purpose")


@pytest.mark.parametrize("kind", ["features", "images"])
@pytest.mark.filterwarnings("ignore::skattr.exceptions.InSampleWarning")
def test_a_failed_fit_keeps_the_last_fitted_state(rng, images, table, kind):
    """Fitted attributes and predictions are those of the last good fit, whatever fails."""
    X = images if kind == "images" else pd.DataFrame(rng.normal(size=(24, 3)), columns=list("abc"))
    classifier = tiny() if kind == "images" else AttributeClassifier(max_epochs=2, random_state=0)
    classifier.fit(X, table)
    state, expected = dict(vars(classifier)), classifier.predict_proba(X)
    other = rng.normal(size=(24, 5))
    category = np.arange(24) % 2
    cases = [
        ({}, {"label_weight": -np.ones((24, 3))}),
        ({"net_params": {"module__none": 1}}, {}),
        ({"net_params": {"callbacks": [Failing()]}}, {}),
        ({"net_params": {"callbacks": [Failing()]}, "cross_fit": 2}, {}),
        ({"constraints": {"implies": [("a", "b")]}}, {}),
        ({"category_prior": "joint"}, {"category": category[1:]}),
        ({"backbone": "none"}, {}),
    ]
    for params, metadata in cases:
        failing = {"backbone": "auto", **params}
        before = {name: getattr(classifier, name) for name in failing}
        classifier.set_params(**failing)
        with pytest.raises(ValueError):
            classifier.fit_transform(other, table, **metadata)
        classifier.set_params(**before)
        assert all(value is state[name] for name, value in vars(classifier).items())
        assert vars(classifier).keys() == state.keys()
        for one, two in zip(classifier.predict_proba(X), expected, strict=True):
            np.testing.assert_array_equal(one, two)
