"""Worker processes that decode files, inside of joblib's workers."""

import threading
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, cross_validate

from skattr import ImageEmbedder, ImageReading
from skattr.exceptions import SkattrWarning
from tests.tiny_models import tiny, tiny_backbone

TWO = ImageReading(num_workers=2)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
@pytest.mark.filterwarnings("ignore:.*num_workers=2:skattr.exceptions.SkattrWarning")
def test_workers_of_joblib(files, table, backend):
    """Scores equal those of one process; joblib's workers cannot start processes of their own."""
    y = table[["hat"]].fillna(False).astype(int)
    params = {"cv": 2, "error_score": "raise"}
    expected = cross_validate(tiny(max_epochs=1), files, y, **params)["test_score"]
    with parallel_config(backend):
        classifier = tiny(max_epochs=1, images=TWO)
        found = cross_validate(classifier, files, y, n_jobs=2, **params)["test_score"]
        grid = {"lr": [1e-3, 1e-2]}
        search = GridSearchCV(classifier, grid, n_jobs=2, **params).fit(files, y)
    np.testing.assert_array_equal(found, expected)
    assert search.cv_results_["mean_test_score"][0] == np.mean(expected)


def test_one_warning_per_call_in_a_thread(files, table):
    """Each call warns once that it decodes on threads; the main thread starts processes."""
    y = table["hat"].fillna(False).astype(int)
    caught = []

    def call():
        classifier = tiny(max_epochs=2, images=ImageReading(num_workers=1, on_bad_image="warn"))
        embedder = ImageEmbedder(tiny_backbone, image_size=(12, 10), images=TWO)
        for method in (
            lambda: classifier.fit(files, y),
            lambda: classifier.predict(files),
            lambda: embedder.fit_transform(files),
        ):
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                method()
            caught.append([one for one in found if issubclass(one.category, SkattrWarning)])

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert [len(found) for found in caught] == [1, 1, 1]
    assert all("decoded on threads" in str(found[0].message) for found in caught)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(max_epochs=1, images=TWO).fit(files, y)


def test_halving_search(files, table):
    """scikit-learn's HalvingGridSearchCV narrows candidates down, over rows or over epochs."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV

    y = table["hat"].fillna(False).astype(int).to_numpy()
    for options in ({"min_resources": 8}, {"resource": "max_epochs", "max_resources": 4}):
        grid = {"lr": [1e-3, 1e-2, 1e-1, 1.0]}
        search = HalvingGridSearchCV(tiny(), grid, cv=2, factor=2, **options).fit(files, y)
        assert search.n_iterations_ > 1
        assert search.n_candidates_[0] == 4 > search.n_candidates_[-1]
        assert search.predict(files).shape == (24,)
