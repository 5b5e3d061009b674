"""Blocks of labels and threads of the search, which change no result."""

import threading

import numpy as np
import pytest

from skattr.thresholds import _curves, _score_table, find_thresholds
from skattr.thresholds._score_table import ScoreTable, map_blocks


def table_of(n, n_labels, seed=0):
    """Return float32 scores with ties and labels, some of one class or with one score."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n, n_labels)) < 0.3
    scores = rng.beta(1 + labels, 3).astype(np.float32).round(2)
    labels[:, 3::17] = False
    labels[:, 5::19] = True
    scores[:, 7::23] = 0.25
    return scores, labels


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize(("entries", "chunk"), [(1, 1), (1, 100), (1, 1 << 18), (400, 130)])
def test_blocks_change_nothing(monkeypatch, missing, n_jobs, entries, chunk):
    """Blocks of one or of several labels, in one thread or more, scanned in parts of a block."""
    scores, labels = table_of(40, 75)
    y = labels.astype(np.float64)
    if missing:
        y[np.random.default_rng(1).random(y.shape) < 0.2] = np.nan
    options = {"strategy": "exact", "objective": "mcc"}
    expected = find_thresholds(y, scores, **options)
    assert len(expected.failed) >= 9
    monkeypatch.setattr(_score_table, "_MIN_PARALLEL", 1)
    monkeypatch.setattr(_score_table, "_MIN_ENTRIES", entries)
    monkeypatch.setattr(_curves, "_CHUNK", chunk)
    for average in ("macro", "micro"):
        found = find_thresholds(y, scores, average=average, n_jobs=n_jobs, **options)
        assert found.failed == expected.failed
        if average == "macro":
            np.testing.assert_array_equal(found.thresholds, expected.thresholds)
            np.testing.assert_array_equal(found.values, expected.values)
    for j in (0, 40, 74):
        alone = find_thresholds(y[:, j], scores[:, j], **options)
        np.testing.assert_array_equal(alone.thresholds, expected.thresholds[[j]])


@pytest.mark.parametrize(("n_jobs", "n_labels"), [(1, 720), (1, 90), (2, 720), (2, 5)])
def test_memory_of_blocks(monkeypatch, n_jobs, n_labels):
    """The keys of all threads take a ninth of the scores, and 64 labels, at most."""
    sizes = []
    monkeypatch.setattr(_score_table, "_MIN_PARALLEL", 0)
    monkeypatch.setattr(_score_table, "_MIN_ENTRIES", 1)

    def count(curves, labels):
        sizes.append(len(labels))
        return labels.tolist()

    scores = np.tile(np.float32([[0.1], [0.2]]), n_labels)
    table = ScoreTable(scores, scores > 0.15)
    assert map_blocks(table, count, n_jobs) == list(range(n_labels))
    assert max(sizes) == max(1, min(64, n_labels // (9 * n_jobs)))


def test_few_entries_are_one_block():
    """Small blocks would cost more than they save: 2**18 entries are read at a time."""
    calls = []
    scores = np.tile(np.float32([[0.1], [0.2]]), 200)

    def count(curves, labels):
        calls.append(threading.current_thread())
        return labels.tolist()

    map_blocks(ScoreTable(scores, scores > 0.15), count, 2)
    assert calls == [threading.main_thread()]


def test_threads_work_at_the_same_time(monkeypatch):
    """Each of two threads takes every other block."""
    monkeypatch.setattr(_score_table, "_MIN_PARALLEL", 8)
    monkeypatch.setattr(_score_table, "_MIN_ENTRIES", 1)
    both = threading.Barrier(2, timeout=60)
    scores = np.tile(np.float32([[0.1], [0.2]]), 4)

    def meet(curves, labels):
        both.wait()
        return [threading.get_ident()]

    workers = map_blocks(ScoreTable(scores, scores > 0.15), meet, 2)
    assert workers[0] == workers[2] != workers[1] == workers[3]
    assert threading.get_ident() not in workers
