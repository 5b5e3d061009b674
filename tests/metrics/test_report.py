"""The report of attributes."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from skattr.metrics import UndefinedAttributeWarning, attribute_report


def column(tp, fn, fp, tn):
    """Return true and predicted labels with these counts."""
    true = np.repeat([1, 1, 0, 0], [tp, fn, fp, tn])
    return true, np.repeat([1, 0, 1, 0], [tp, fn, fp, tn])


@pytest.fixture
def mixed():
    """Return a bool with missing labels, a category and an ordered column, with scores."""
    rng = np.random.default_rng(0)
    n = 160
    y = pd.DataFrame(
        {
            "hat": pd.array(rng.random(n) < 0.3, dtype="boolean"),
            "color": rng.choice(["blue", "green", "red"], n),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], n), ["s", "m", "l"], ordered=True),
        }
    )
    hat = rng.beta(1 + 2 * y["hat"].to_numpy(bool), 4)
    y.loc[::5, "hat"] = None
    scores = [
        np.stack([1 - hat, hat], axis=1),
        rng.dirichlet([1, 1, 1], n),
        rng.dirichlet([1, 1, 1], n),
    ]
    return y, scores


def test_a_published_table():
    """Counts of two aPascal attributes give the published values to four digits."""
    beak, flower = column(163, 46, 79, 6067), column(53, 0, 155, 6147)
    report = attribute_report(
        pd.DataFrame({"Beak": beak[0], "Flower": flower[0]}),
        pd.DataFrame({"Beak": beak[1], "Flower": flower[1]}),
    )
    assert report.loc["Beak", ["TP", "FN", "FP", "TN"]].tolist() == [163, 46, 79, 6067]
    found = report.loc[["Beak", "Flower"], ["precision", "recall", "accuracy"]].astype(float)
    expected = [
        [163 / 242, 163 / 209, 6230 / 6355],
        [53 / 208, 1.0, 6200 / 6355],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.round(4).to_numpy().tolist() == [[0.6736, 0.7799, 0.9803], [0.2548, 1.0, 0.9756]]


def test_values_equal_scikit_learn(mixed):
    """On the known entries of each column, at the thresholds that are shown."""
    y, scores = mixed
    report = attribute_report(y, None, scores, thresholds={"hat": 0.3})
    known = y["hat"].notna().to_numpy()
    true, score = y["hat"][known].to_numpy(bool), scores[0][known, 1]
    row = report.loc["hat"]
    assert (row["kind"], row["known"], row["positives"]) == ("binary", known.sum(), true.sum())
    assert row["threshold"] == 0.3
    for name, function in (
        ("precision", reference.precision_score),
        ("recall", reference.recall_score),
        ("f1", reference.f1_score),
        ("accuracy", reference.accuracy_score),
        ("balanced_accuracy", reference.balanced_accuracy_score),
    ):
        assert row[name] == pytest.approx(function(true, score >= 0.3))
        if name != "accuracy" and name != "balanced_accuracy":
            guess = np.array(["blue", "green", "red"])[scores[1].argmax(axis=1)]
            expected = function(y["color"], guess, average="macro")
            assert report.loc["color", name] == pytest.approx(expected)
    assert row["average_precision"] == pytest.approx(reference.average_precision_score(true, score))
    assert row["roc_auc"] == pytest.approx(reference.roc_auc_score(true, score))
    guess = np.array(["s", "m", "l"])[scores[2].argmax(axis=1)]
    assert report.loc["size", "accuracy"] == pytest.approx((guess == y["size"]).mean())
    assert report.loc["color", ["TP", "FN", "FP", "TN", "threshold"]].isna().all()


def test_averages(mixed):
    """The macro average is the mean of the rows, micro that of the sums."""
    y, scores = mixed
    report = attribute_report(y, None, scores)
    rows = report.loc[list(y.columns)]
    assert report.loc["macro", "f1"] == pytest.approx(rows["f1"].astype(float).mean())
    assert report.loc["macro", "known"] == y.notna().to_numpy().sum()
    binary = attribute_report(y[["hat"]], None, [scores[0]])
    assert binary.loc["micro", "TP"] == binary.loc["hat", "TP"]
    assert binary.loc["micro", "f1"] == pytest.approx(binary.loc["hat", "f1"])


def test_given_predictions_and_scores(mixed):
    """Labels come from y_pred, rankings from y_score; without scores their columns are absent."""
    y, scores = mixed
    guess = y.copy()
    guess["hat"] = True
    report = attribute_report(y, guess, scores)
    assert report.loc["hat", "recall"] == 1
    assert report.loc["color", "accuracy"] == 1
    assert report.loc["color", "roc_auc"] < 0.7
    labels_only = attribute_report(y, guess)
    assert "roc_auc" not in labels_only
    assert "threshold" not in labels_only


def test_thresholds_of_predicted_labels_are_not_guessed(mixed):
    """With y_pred the column shows given thresholds only, and no default."""
    y, scores = mixed
    guess = y.assign(hat=scores[0][:, 1] >= 0.2)
    report = attribute_report(y, guess, scores)
    assert report["threshold"].isna().all()
    assert (
        attribute_report(y, guess, scores, thresholds={"hat": 0.2}).loc["hat", "threshold"] == 0.2
    )
    assert attribute_report(y, None, scores).loc["hat", "threshold"] == 0.5


def test_predictions_from_scores_alone(rng):
    """A score at the threshold is positive; the likeliest of many classes is predicted."""
    y, scores = np.array([1, 1, 0, 0, 0]), np.array([0.5, 0.4, 0.5, 0.6, 0.3])
    counts = ["TP", "FN", "FP", "TN"]
    assert attribute_report(y, None, scores).loc["y0", counts].tolist() == [1, 1, 2, 1]
    report = attribute_report(y, None, scores, thresholds={"y0": 0.4})
    assert report.loc["y0", counts].tolist() == [2, 0, 2, 1]
    y, p = np.arange(200) % 150, rng.dirichlet(np.ones(150), 200)
    p[:90] = np.eye(150)[y[:90]]
    report = attribute_report(y, None, p, attributes={"y0": "categorical"})
    assert report.loc["y0", "accuracy"] == pytest.approx(np.mean(p.argmax(axis=1) == y))


def test_slices(mixed):
    """The report of each value equals a report of its rows alone."""
    y, scores = mixed
    group = np.where(np.arange(len(y)) % 3 == 0, "f", "m").astype(object)
    group[:10] = None
    report = attribute_report(y, None, scores, slices=group)
    assert report.index.get_level_values("slice").unique().tolist() == ["all", "f", "m"]
    rows = np.flatnonzero(group == "f")
    alone = attribute_report(y.iloc[rows], None, [part[rows] for part in scores])
    for name in ("known", "f1", "accuracy", "roc_auc"):
        np.testing.assert_allclose(
            report.loc["f", name].astype(float), alone[name].astype(float), equal_nan=True
        )


def test_slices_without_positives_or_labels():
    """The probabilities of a slice of negatives are scored, those of one without labels are not."""
    y = np.array([[1, 0], [0, 0], [0, 0], [0, 0], [np.nan, np.nan]])
    scores = np.array([[0.9, 0.2], [0.1, 0.3], [0.2, 0.2], [0.4, 0.2], [0.5, 0.5]])
    with pytest.warns(UndefinedAttributeWarning):
        report = attribute_report(y, None, scores, slices=list("aabbc"))
    error = report["calibration_error"].astype(float)
    assert error["b"][["y0", "y1", "macro", "micro"]].tolist() == pytest.approx(
        [0.3, 0.2, 0.25, 0.25]
    )
    assert (
        report.loc["c", ["average_precision", "roc_auc", "calibration_error"]].isna().all(axis=None)
    )
    assert (report.loc["c", "known"] == 0).all()


def test_tail():
    """Groups of attributes by their positives, or by name."""
    rng = np.random.default_rng(0)
    y = rng.random((500, 4)) < [0.5, 0.2, 0.02, 0.01]
    guess = y ^ (rng.random(y.shape) < 0.1)
    report = attribute_report(y, guess, tail=(150, 50))
    assert report.index[-3:].tolist() == ["head", "medium", "tail"]
    f1 = report["f1"].astype(float)
    assert f1["tail"] == pytest.approx(f1[["y2", "y3"]].mean())
    assert f1["head"] == pytest.approx(f1["y0"])
    counts = [int(count) for count in y.sum(axis=0)]
    limits = attribute_report(y, guess, tail=(counts[3], counts[1]))  # these are not below
    assert limits.index[-2:].tolist() == ["head", "medium"]
    assert limits.loc["head", "f1"] == pytest.approx(f1[["y0", "y1"]].mean())
    assert limits.loc["head", "known"] == 1000
    two = attribute_report(y, guess, tail=(counts[1],), sample_weight=np.full(500, 2.0))
    assert two.index[-2:].tolist() == ["head", "tail"]
    assert two.loc["tail", "f1"] == pytest.approx(f1[["y2", "y3"]].mean())
    named = attribute_report(y, guess, tail={"rare": ["y2", "y3"]})
    assert named.loc["rare", "f1"] == pytest.approx(f1["tail"])
    with pytest.raises(ValueError, match="names 'hat'"):
        attribute_report(y, guess, tail={"rare": ["hat"]})
    with pytest.raises(ValueError, match="one or two numbers of positives"):
        attribute_report(y, guess, tail=(1, 2, 3))


def test_intervals_cover_the_truth():
    """About nine in ten intervals of .9 contain the true accuracy and recall."""
    rng = np.random.default_rng(0)
    y = rng.random((400, 60)) < 0.4
    guess = y ^ (rng.random(y.shape) < 0.2)
    report = attribute_report(y, guess, confidence=0.9, n_bootstrap=300).iloc[:60]
    for name in ("accuracy", "recall"):
        low, high = report[f"{name}_low"].astype(float), report[f"{name}_high"].astype(float)
        assert 0.8 < ((low <= 0.8) & (high >= 0.8)).mean() < 0.98
        assert (low <= report[name]).all()
        assert (high >= report[name]).all()


def test_intervals_of_groups_are_wider():
    """Copies of a row are drawn together."""
    rng = np.random.default_rng(0)
    y = np.repeat(rng.random((40, 3)) < 0.4, 10, axis=0)
    guess = y ^ np.repeat(rng.random((40, 3)) < 0.2, 10, axis=0)
    plain = attribute_report(y, guess, confidence=0.9)
    grouped = attribute_report(y, guess, confidence=0.9, groups=np.arange(400) // 10)
    width = (plain["f1_high"] - plain["f1_low"]).astype(float)[:4]
    wider = (grouped["f1_high"] - grouped["f1_low"]).astype(float)[:4]
    assert (wider > 2 * width).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_of_rankings_are_quantiles_of_resampled_rows(weighted):
    """For average precision and ROC AUC, with ties and missing labels."""
    from skattr.metrics._bootstrap import BootstrapDraws

    rng = np.random.default_rng(0)
    y = np.where(rng.random((80, 2)) < 0.2, np.nan, rng.random((80, 2)) < 0.4)
    score = (rng.random((80, 2)) / 2 + np.nan_to_num(y) / 3).round(1)
    weights = rng.random(80) if weighted else None
    report = attribute_report(
        y, None, score, confidence=0.8, n_bootstrap=40, random_state=3, sample_weight=weights
    )
    times = BootstrapDraws(80, 0.8, 40, None, 3).times * (1 if weights is None else weights)
    for name, function in (
        ("average_precision", reference.average_precision_score),
        ("roc_auc", reference.roc_auc_score),
    ):
        for j in range(2):
            known = ~np.isnan(y[:, j])
            drawn = [
                function(y[known, j], score[known, j], sample_weight=weight[known])
                for weight in times
            ]
            limits = report.loc[f"y{j}", [f"{name}_low", f"{name}_high"]].astype(float)
            np.testing.assert_allclose(limits, np.quantile(drawn, [0.1, 0.9]))


def test_metrics_of_the_intervals_are_those_of_the_report(mixed):
    """A bootstrap that draws every row once gives the numbers of the report."""
    from skattr.metrics._bootstrap import BootstrapDraws, label_intervals, ranking_intervals
    from skattr.metrics._report_table import LABELS, read_material

    y, scores = mixed
    report = attribute_report(y, None, scores)
    material = read_material(y, None, scores, None, None, {})
    draws = BootstrapDraws(len(y), 0.9, 2, None, 0)
    draws.times[:] = 1
    limits = label_intervals(material.labels, draws, LABELS)
    limits |= ranking_intervals(material.scored, draws)
    for name, (low, high) in limits.items():
        expected = report.loc[[*y.columns, "macro"], name].astype(float)
        np.testing.assert_allclose(low, expected)
        np.testing.assert_allclose(high, expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_of_labels_are_quantiles_of_resampled_rows(weighted):
    """Also of attributes without positives, with missing labels, weights and groups.

    Samples are made by repeating rows, and metrics are scikit-learn's on the known entries.
    """
    from skattr.metrics._bootstrap import BootstrapDraws

    rng = np.random.default_rng(1)
    n = 70
    y = np.where(rng.random((n, 3)) < 0.2, np.nan, rng.random((n, 3)) < 0.4)
    y[:, 2] = np.where(np.isnan(y[:, 2]), np.nan, 0)
    guess = (rng.random((n, 3)) < 0.4).astype(int)
    colors = rng.choice(["blue", "green", "red"], (2, n), p=[0.1, 0.3, 0.6])
    labels = pd.DataFrame(y, columns=["a", "b", "none"]).assign(color=colors[0])
    guesses = pd.DataFrame(guess, columns=["a", "b", "none"]).assign(color=colors[1])
    weights = rng.random(n) if weighted else np.ones(n)
    groups = rng.integers(0, 30, n)
    with pytest.warns(UndefinedAttributeWarning, match="none"):
        report = attribute_report(
            labels,
            guesses,
            confidence=0.8,
            n_bootstrap=30,
            random_state=3,
            groups=groups,
            sample_weight=weights if weighted else None,
        )
    times = BootstrapDraws(n, 0.8, 30, groups, 3).times
    functions = {
        "precision": reference.precision_score,
        "recall": reference.recall_score,
        "f1": reference.f1_score,
        "accuracy": reference.accuracy_score,
    }
    for name, function in functions.items():
        drawn = np.full((30, 4), np.nan)
        for i, time in enumerate(times):
            rows = np.repeat(np.arange(n), time.astype(int))
            for j, column in enumerate(labels):
                known = rows[labels[column].notna().to_numpy()[rows]]
                true, said = labels[column].to_numpy()[known], guesses[column].to_numpy()[known]
                if column == "none" and name in ("recall", "f1"):
                    continue  # undefined without a known positive
                params = {}
                if name != "accuracy":
                    params["zero_division"] = 0
                    params["average"] = "macro" if column == "color" else "binary"
                true = true.astype(str if column == "color" else int)
                drawn[i, j] = function(true, said, sample_weight=weights[known], **params)
        drawn = np.column_stack([drawn, np.nanmean(drawn, axis=1)])
        limits = report.loc[[*labels, "macro"], [f"{name}_low", f"{name}_high"]].astype(float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # columns of NaN
            expected = np.nanquantile(drawn, [0.1, 0.9], axis=0).T
        np.testing.assert_allclose(limits, expected, err_msg=name)


@pytest.mark.parametrize("grouped", [False, True])
def test_draws_are_those_of_a_bootstrap(grouped):
    """Each sample draws as many units as there are, with replacement, each as likely."""
    from skattr.metrics._bootstrap import BootstrapDraws

    groups = np.repeat(np.arange(20), np.arange(1, 21)) if grouped else None
    n = 210 if grouped else 20
    first = np.cumsum(np.arange(20)) if grouped else np.arange(20)  # a row of each unit
    times = BootstrapDraws(n, 0.9, 4000, groups, 0).times
    if grouped:
        np.testing.assert_array_equal(times, times[:, first[groups]])
    times = times[:, first]
    assert (times.sum(axis=1) == 20).all()
    np.testing.assert_allclose(times.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(times.var(axis=0), 1 - 1 / 20, atol=0.15)
    other = BootstrapDraws(n, 0.9, 4000, groups, 1).times
    assert (other[:, first] != times).any()


def test_intervals_do_not_depend_on_the_size_of_blocks(monkeypatch, mixed):
    """Columns and samples are counted in blocks; weights are those of rows, columns or entries."""
    from skattr.metrics import _bootstrap
    from skattr.metrics._report_table import LABELS, read_material

    y, scores = mixed
    rng = np.random.default_rng(0)
    flags = (rng.random((len(y), 7)) < 0.4).astype(int)
    y = pd.concat([y, pd.DataFrame(flags).add_prefix("flag")], axis=1)
    scores = [*scores, *(rng.random(len(y)) / 2 + column / 3 for column in flags.T)]
    draws = _bootstrap.BootstrapDraws(len(y), 0.8, 10, None, 0)
    for options in (
        {},
        {"sample_weight": rng.random(len(y))},
        {"label_weight": rng.random(y.shape)},
    ):
        material = read_material(y, None, scores, None, None, options)
        whole = _bootstrap.label_intervals(material.labels, draws, LABELS)
        whole |= _bootstrap.ranking_intervals(material.scored, draws)
        with monkeypatch.context() as patch:
            patch.setattr(_bootstrap, "_COLUMNS", 3)
            patch.setattr(_bootstrap, "_ENTRIES", 3 * len(y))
            parts = _bootstrap.label_intervals(material.labels, draws, LABELS)
            parts |= _bootstrap.ranking_intervals(material.scored, draws)
        for name, limits in whole.items():
            np.testing.assert_allclose(parts[name], limits)
        # One attribute by itself has the limits that it has among the others.
        j = y.columns.get_loc("flag6")
        own = {
            name: value if name == "sample_weight" else value[:, [j]]
            for name, value in options.items()
        }
        alone = read_material(y[["flag6"]], None, [scores[j]], None, None, own)
        single = _bootstrap.label_intervals(alone.labels, draws, LABELS)
        single |= _bootstrap.ranking_intervals(alone.scored, draws)
        for name, limits in whole.items():
            np.testing.assert_allclose(np.array(single[name])[:, 0], np.array(limits)[:, j])


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_of_rankings_of_classes(weighted):
    """The mean over the classes that a sample holds, each against the rest."""
    from skattr.metrics._bootstrap import BootstrapDraws

    rng = np.random.default_rng(0)
    color = rng.permutation(np.repeat(["blue", "green", "red"], [2, 14, 24]))
    scores = rng.dirichlet([1, 1, 1], 40).round(1)
    scores /= scores.sum(axis=1, keepdims=True)
    weights = rng.random(40) if weighted else np.ones(40)
    report = attribute_report(
        pd.DataFrame({"color": color}),
        None,
        [scores],
        confidence=0.8,
        n_bootstrap=40,
        random_state=3,
        sample_weight=weights if weighted else None,
    )
    times = BootstrapDraws(40, 0.8, 40, None, 3).times * weights
    assert (times[:, color == "blue"].sum(axis=1) == 0).any()
    for name, function in (
        ("average_precision", reference.average_precision_score),
        ("roc_auc", reference.roc_auc_score),
    ):
        drawn = [
            np.mean(
                [
                    function(color == label, scores[:, k], sample_weight=weight)
                    for k, label in enumerate(["blue", "green", "red"])
                    if weight[color == label].sum()
                ]
            )
            for weight in times
        ]
        limits = report.loc["color", [f"{name}_low", f"{name}_high"]].astype(float)
        np.testing.assert_allclose(limits, np.quantile(drawn, [0.1, 0.9]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"confidence": 0.0}, "confidence must be between 0 and 1; got 0.0"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1; got 1.0"),
        ({"confidence": 0.9, "n_bootstrap": 0}, "n_bootstrap must be an int of at least 1; got 0"),
        (
            {"confidence": 0.9, "groups": [1, 2]},
            "groups has shape \\(2,\\); expected one value for each of the 3",
        ),
    ],
)
def test_rejects_invalid_parameters_of_intervals(params, message):
    """The error names the parameter; one sample is enough."""
    y = np.array([[0], [1], [1]])
    with pytest.raises(ValueError, match=message):
        attribute_report(y, y, **params)
    report = attribute_report(y, y, confidence=0.9, n_bootstrap=1, random_state=0)
    assert report.loc["y0", "accuracy_low"] == report.loc["y0", "accuracy_high"] == 1


def test_rows_without_a_group_are_drawn_together():
    """They are a group of their own, whatever marks them, and no part of another."""
    from skattr.metrics._bootstrap import BootstrapDraws

    named = np.array(list("abcbcacbbaca"), dtype=object)
    for missing in (None, np.nan, pd.NA, pd.NaT):
        groups = np.where(named == "b", missing, named)
        times = BootstrapDraws(12, 0.9, 50, groups, 0).times
        np.testing.assert_array_equal(times, BootstrapDraws(12, 0.9, 50, named, 0).times)
        assert (times[:, named == "b"] == times[:, [1]]).all()
        assert (times[:, 1] != times[:, 2]).any()
        assert (times[:, 1] != times[:, 0]).any()


def test_intervals_of_slices_keep_their_groups():
    """The draws of a slice are those of its rows, of which groups extend over two slices."""
    from skattr.metrics._bootstrap import BootstrapDraws

    rng = np.random.default_rng(2)
    y, guess = rng.random((2, 60, 1)) < 0.4
    part, groups = rng.integers(0, 2, 60), rng.integers(0, 12, 60)
    report = attribute_report(
        y, guess, slices=part, confidence=0.8, n_bootstrap=25, random_state=5, groups=groups
    )
    for value in (0, 1):
        rows = part == value
        times = BootstrapDraws(60, 0.8, 25, groups, 5).times[:, rows]
        drawn = [
            reference.f1_score(y[rows, 0], guess[rows, 0], sample_weight=weight) for weight in times
        ]
        limits = report.loc[(value, "y0"), ["f1_low", "f1_high"]].astype(float)
        np.testing.assert_allclose(limits, np.quantile(drawn, [0.1, 0.9]))


def test_intervals_of_slices_are_those_of_their_rows():
    """A slice takes its own part of the draws."""
    from skattr.metrics._bootstrap import BootstrapDraws

    rng = np.random.default_rng(2)
    y, guess = rng.random((2, 60, 1)) < 0.4
    part = np.arange(60) % 2
    report = attribute_report(y, guess, slices=part, confidence=0.8, n_bootstrap=25, random_state=5)
    times = BootstrapDraws(60, 0.8, 25, None, 5).times[:, part == 1]
    drawn = [
        reference.accuracy_score(y[part == 1, 0], guess[part == 1, 0], sample_weight=weight)
        for weight in times
    ]
    limits = report.loc[(1, "y0"), ["accuracy_low", "accuracy_high"]].astype(float)
    np.testing.assert_allclose(limits, np.quantile(drawn, [0.1, 0.9]))


def test_whole_weights_equal_repeated_rows():
    """In the counts as well as in the rates."""
    rng = np.random.default_rng(0)
    y, guess = rng.random((60, 3)) < 0.4, rng.random((60, 3)) < 0.4
    times = 1 + np.arange(60) % 3
    weighted = attribute_report(y, guess, sample_weight=times)
    repeated = attribute_report(np.repeat(y, times, 0), np.repeat(guess, times, 0))
    for name in weighted.columns.drop("kind"):
        np.testing.assert_allclose(weighted[name].astype(float), repeated[name].astype(float))


def test_rates_follow_from_the_counts_that_are_shown():
    """With any weights, for attributes and for their sums."""
    rng = np.random.default_rng(0)
    y, guess = rng.random((60, 3)) < 0.4, rng.random((60, 3)) < 0.4
    report = attribute_report(y, guess, sample_weight=rng.random(60))
    rows = report.loc[["y0", "y1", "y2", "micro"]].drop(columns="kind").astype(float)
    tp, fn, fp, tn = (rows[name] for name in ("TP", "FN", "FP", "TN"))
    np.testing.assert_allclose(rows["precision"], tp / (tp + fp))
    np.testing.assert_allclose(rows["recall"], tp / (tp + fn))
    np.testing.assert_allclose(rows["f1"], 2 * tp / (2 * tp + fp + fn))
    np.testing.assert_allclose(rows["accuracy"], (tp + tn) / rows["known"])
    np.testing.assert_allclose(rows["positives"], tp + fn)
    np.testing.assert_allclose(rows["balanced_accuracy"], (tp / (tp + fn) + tn / (tn + fp)) / 2)


@pytest.mark.parametrize(
    ("names", "params", "message"),
    [
        (["hat", "macro"], {}, "attribute 'macro' has the name of the row of an average, 'macro'"),
        (["micro", "hat"], {}, "attribute 'micro'"),
        (["hat", "weighted"], {}, "attribute 'weighted'"),
        (["hat", "tail"], {"tail": (1,)}, "group 'tail' of `tail` .* row of an attribute, 'tail'"),
        (["hat", "cap"], {"tail": {"macro": ["hat"]}}, "group 'macro' of `tail`"),
        (["hat", "cap"], {"slices": ["all", "f", "f"]}, "slice 'all' .* part of all rows, 'all'"),
    ],
)
def test_rejects_names_that_collide(names, params, message):
    """Two rows of one name would be indistinguishable; the error names both."""
    y = pd.DataFrame([[1, 0], [0, 1], [1, 1]], columns=names)
    with pytest.raises(ValueError, match=message):
        attribute_report(y, y, **params)


def test_undefined_metrics_are_blank_with_one_warning():
    """The report says how many attributes each average is over."""
    y = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    guess = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    with pytest.warns(UndefinedAttributeWarning, match=r"of \['y1'\] are undefined") as caught:
        report = attribute_report(y, guess)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert np.isnan(report.loc["y1", "recall"])
    assert report.attrs["averaged_over"]["recall"] == 1
    assert "Averaged over fewer than 2 attributes" in str(report)


def test_formatting(mixed):
    """In a terminal, as HTML and as Markdown: three digits, whole counts, blanks."""
    y, scores = mixed
    report = attribute_report(y, None, scores)
    for text in (str(report), report._repr_html_(), report.to_markdown()):
        assert "nan" not in text.lower()
        assert "color" in text
        assert "0.500" in text  # the threshold
    lines = report.to_markdown().splitlines()
    assert lines[1].startswith("| --- | --- |")
    assert len({line.count("|") for line in lines}) == 1
    assert isinstance(report, pd.DataFrame)
    assert isinstance(report[["f1"]], pd.DataFrame)


def test_thresholds_of_a_tuned_classifier(mixed):
    """`best_threshold_`, which is NaN for categories, is valid."""
    y, scores = mixed
    report = attribute_report(y, None, scores, thresholds=np.array([0.2, np.nan, np.nan]))
    known = y["hat"].notna().to_numpy()
    positives = (scores[0][known, 1] >= 0.2).sum()
    assert report.loc["hat", ["TP", "FP"]].sum() == positives


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "Pass predicted labels"),
        ({"y_pred": np.zeros((3, 2)), "thresholds": [0.1]}, "each of the 2 attributes"),
        ({"y_pred": np.zeros((3, 2)), "thresholds": {"hat": 0.1}}, "thresholds name 'hat'"),
        ({"y_pred": np.zeros((3, 2)), "slices": [1]}, "slices has 1 values"),
        ({"y_pred": np.zeros((3, 2)), "confidence": 1.5}, "confidence must be between"),
        (
            {"y_pred": np.zeros((3, 2)), "confidence": 0.9, "groups": [1]},
            r"groups has shape \(1,\)",
        ),
        ({"y_score": np.full((3, 2), 2.0)}, r"\[0, 1\]|between 0 and 1"),
    ],
)
def test_rejects_invalid_arguments(params, message):
    """The error says what is valid."""
    y = np.array([[1, 0], [0, 1], [1, 1]])
    with pytest.raises(ValueError, match=message):
        attribute_report(y, **params)


def test_arguments_are_not_changed(mixed):
    """Neither labels nor scores; a report without undefined metrics does not warn."""
    y, scores = mixed
    before = y.copy()
    for part in scores:
        part.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attribute_report(y, None, scores, confidence=0.9, slices=np.arange(len(y)) % 2)
    pd.testing.assert_frame_equal(y, before)


def test_errors_name_the_baseline():
    """What is wrong with the baseline is not said of the predictions."""
    y = pd.DataFrame({"a": [0, 1, 1, 0], "b": [1, 1, 0, 0]})
    probabilities = [np.full((4, 2), 0.5)] * 2
    for baseline, message in (
        (probabilities, r"baseline should be of shape \(n,\) or \(n, n_outputs\)"),
        (y[:3], "but baseline has 3"),
        (y.rename(columns={"b": "c"}), r"baseline lacks \['b'\]"),
        (
            y.astype("Int64").replace({"a": {0: pd.NA}}),
            "baseline of row 0, attribute 'a', is missing",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            attribute_report(y, None, y.to_numpy(float), baseline=baseline)
