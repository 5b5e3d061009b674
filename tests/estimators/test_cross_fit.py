"""fit_transform: out-of-fold, held-out and in-sample outputs."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline

from skattr import AttributeClassifier
from skattr.exceptions import InSampleWarning, MissingLabelWarning


@pytest.fixture
def features(rng):
    """Return 60 rows of noise and two columns of labels, some missing."""
    y = rng.integers(0, 2, (60, 2)).astype(float)
    y[::7, 0] = np.nan
    return rng.normal(size=(60, 30)), y


def linear(**params):
    """Return a linear classifier that overfits."""
    return AttributeClassifier(**{"max_epochs": 60, "lr": 0.1, "random_state": 0, **params})


def test_in_sample_outputs_come_with_one_warning(features):
    """cross_fit=None returns in-sample outputs and says so once."""
    with pytest.warns(InSampleWarning, match="cross_fit=5") as caught:
        outputs = linear().fit_transform(*features)
    assert len(caught) == 1
    assert_array_equal(outputs, linear().fit(*features).transform(features[0]))


@pytest.mark.parametrize("cross_fit", [3, KFold(4)])
def test_out_of_fold_outputs_do_not_depend_on_the_label_of_their_row(features, cross_fit):
    """On pure noise out-of-fold outputs are by chance, where in-sample ones are near perfect."""
    X, y = features
    classifier = linear(cross_fit=cross_fit)
    outputs = classifier.fit_transform(X, y)
    assert outputs.shape == (60, 2)
    assert np.isfinite(outputs).all()
    known = ~np.isnan(y)
    assert ((outputs > 0.5) == y)[known].mean() < 0.7
    assert ((classifier.transform(X) > 0.5) == y)[known].mean() > 0.9


def test_out_of_fold_equals_the_loop_over_folds(features):
    """With a splitter the outputs are those of a clone fitted on the other folds."""
    X, y = features
    outputs = linear(cross_fit=KFold(3)).fit_transform(X, y)
    for train, test in KFold(3).split(X):
        expected = clone(linear()).fit(X[train], y[train]).transform(X[test])
        assert_array_equal(outputs[test], expected)


def test_the_final_network_is_fitted_on_all_rows(features):
    """After out-of-fold outputs the estimator is that of a plain fit."""
    X, y = features
    classifier = linear(cross_fit=3)
    classifier.fit_transform(X, y)
    assert_array_equal(classifier.transform(X), linear().fit(X, y).transform(X))


def test_a_float_trains_once_and_leaves_the_rest_nan(features, monkeypatch):
    """cross_fit=0.25 holds out a quarter, fits one network and keeps it."""
    fits = []
    fit = AttributeClassifier._fit

    def counted(self, X, *args):
        fits.append(len(X))
        return fit(self, X, *args)

    monkeypatch.setattr(AttributeClassifier, "_fit", counted)
    classifier = linear(cross_fit=0.25)
    outputs = classifier.fit_transform(*features)
    held_out = np.isfinite(outputs).all(axis=1)
    assert fits == [45]
    assert held_out.sum() == 15
    assert np.isnan(outputs[~held_out]).all()
    assert_array_equal(outputs[held_out], classifier.transform(features[0])[held_out])


def test_folds_share_the_classes(features):
    """A level that one fold lacks still has its column."""
    X, _ = features
    y = np.array(["a", "b"], dtype=object)[np.arange(60) % 2]
    y[0] = "rare"
    outputs = linear(cross_fit=3).fit_transform(X, y)
    assert outputs.shape == (60, 3)
    assert np.isfinite(outputs).all()


def test_weights_are_split_with_their_rows(features, rng):
    """Out-of-fold fits get the weights of their own rows."""
    X, y = features
    weight, label_weight = rng.random(60), rng.random((60, 2))
    classifier = linear(cross_fit=KFold(2))
    outputs = classifier.fit_transform(X, y, sample_weight=weight, label_weight=label_weight)
    train, test = next(KFold(2).split(X))
    expected = linear().fit(
        X[train], y[train], sample_weight=weight[train], label_weight=label_weight[train]
    )
    assert_array_equal(outputs[test], expected.transform(X[test]))


@pytest.mark.parametrize("cross_fit", [None, 3, 0.2])
@pytest.mark.parametrize("name", ["sample_weight", "label_weight", "category"])
def test_rejects_metadata_of_another_length(features, cross_fit, name):
    """Before anything is trained."""
    X, y = features
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        linear(cross_fit=cross_fit).fit_transform(X, y, **{name: np.ones((70, 2))})


def test_one_output_is_stratified(features):
    """An int splits a single label by its classes, unless one is too rare."""
    X, _ = features
    y = np.repeat([0, 1], [54, 6])
    linear(cross_fit=StratifiedKFold(3)).fit_transform(X, y)
    assert np.isfinite(linear(cross_fit=3).fit_transform(X, y)).all()


def test_a_pipeline_stacks_on_out_of_fold_outputs(features):
    """A Pipeline hands the next step out-of-fold outputs."""
    X, y = features
    pipeline = make_pipeline(linear(cross_fit=3), LogisticRegression())
    label = np.nan_to_num(y[:, 1])
    assert pipeline.fit(X, label).score(X, label) >= 0
    stacked = pipeline[-1].coef_
    assert stacked.shape == (1, 1)


def test_warns_once_about_a_column_without_labels(features):
    """The folds do not repeat the warning about all of y."""
    X, y = features
    y[:, 1] = np.nan
    with pytest.warns(MissingLabelWarning, match="y1") as caught:
        linear(cross_fit=3).fit_transform(X, y)
    assert len(caught) == 1
