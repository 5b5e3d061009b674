"""Protocols, compared with transcriptions of their official evaluators in plain loops."""

import math
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from skattr.exceptions import SkattrWarning
from skattr.metrics import chexpert_auc, coco_metrics, pedestrian_metrics, vaw_metrics

EVERY = (pedestrian_metrics, vaw_metrics, coco_metrics, chexpert_auc)
FIVE = ["Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion"]


def quiet(function, *args, **kwargs):
    """Call without the warnings of degenerate attributes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkattrWarning)
        return function(*args, **kwargs)


def same(found, wanted, atol=1e-12):
    """Assert that every expected figure is found."""
    for key, value in wanted.items():
        assert isinstance(found[key], float), key
        np.testing.assert_allclose(found[key], value, atol=atol, rtol=0, err_msg=key)


def harmonic(one, other):
    """Return the harmonic mean, 0 where both are 0."""
    return 2 * one * other / (one + other) if one + other > 0 else 0.0


def divide(part, whole):
    """Return the mean, 0 of an empty list."""
    return part / whole if whole else 0.0


def random_table(rng, n=60, n_labels=20, unknown=0.0, decimals=None):
    """Return labels, NaN where missing, and scores that correlate with them."""
    prior = rng.uniform(0.15, 0.7, n_labels)
    y = (rng.random((n, n_labels)) < prior).astype(float)
    logits = 1.5 * y + rng.normal(size=y.shape) - 0.8
    scores = 1 / (1 + np.exp(-logits))
    if decimals is not None:
        scores = scores.round(decimals)
    y[rng.random(y.shape) < unknown] = np.nan
    return y, scores


# --- pedestrian attributes -------------------------------------------------------------------


def rethinking(y, scores, threshold=0.5):
    """Transcribe Rethinking_of_PAR, metrics/pedestrian_metrics.py."""
    n, n_labels = y.shape
    balanced = []
    for j in range(n_labels):
        sides = []
        for truth in (1, 0):
            of_class = [i for i in range(n) if y[i, j] == truth]
            right = sum((scores[i, j] > threshold) == truth for i in of_class)
            sides.append(right / (len(of_class) + 1e-20))
        balanced.append(sum(sides) / 2)
    rows = {"accuracy": [], "precision": [], "recall": []}
    for i in range(n):
        true = {j for j in range(n_labels) if y[i, j] == 1}
        given = {j for j in range(n_labels) if scores[i, j] > threshold}
        both = len(true & given)
        rows["accuracy"].append(both / (len(true | given) + 1e-20))
        rows["precision"].append(both / (len(given) + 1e-20))
        rows["recall"].append(both / (len(true) + 1e-20))
    means = {key: sum(values) / n for key, values in rows.items()}
    f1 = harmonic(means["precision"], means["recall"])
    return {"mA": sum(balanced) / n_labels, **means, "f1": f1}


def older_toolkit(y, scores, threshold=0.5):
    """Transcribe the means over images of pedestrian-attribute-recognition-pytorch."""
    n, n_labels = y.shape
    counted, sums = n, [0.0, 0.0, 0.0]
    for i in range(n):
        true = sum(y[i, j] == 1 for j in range(n_labels))
        given = sum(scores[i, j] >= threshold for j in range(n_labels))
        both = sum(y[i, j] == 1 and scores[i, j] >= threshold for j in range(n_labels))
        if true == 0:
            counted -= 1
            continue
        sums[0] += both / (true + given - both)
        sums[1] += both / (given or 1)
        sums[2] += both / true
    accuracy, precision, recall = (part / counted for part in sums)
    f1 = harmonic(precision, recall)
    return {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}


def test_pedestrian_metrics_equal_two_toolkits(rng):
    """Each treatment of images without a true label equals its toolkit, and they differ."""
    y, scores = random_table(rng, n_labels=6)
    y[:25] = 0
    counted = pedestrian_metrics(y, scores)
    dropped = pedestrian_metrics(y, scores, empty_rows="drop")
    assert list(counted) == ["mA", "accuracy", "precision", "recall", "f1"]
    same(counted, rethinking(y, scores))
    same(dropped, older_toolkit(y, scores))
    assert dropped["mA"] == counted["mA"]
    assert dropped["f1"] > counted["f1"] + 0.1


def test_instance_precision_and_recall_equal_scikit_learn_over_samples(rng):
    """Counting empty rows as 0 is average="samples" with zero_division=0."""
    y, scores = random_table(rng, n_labels=5)
    found = pedestrian_metrics(y, scores, threshold=0.6)
    for name, function in (("precision", precision_score), ("recall", recall_score)):
        wanted = function(y, scores > 0.6, average="samples", zero_division=0)
        np.testing.assert_allclose(found[name], wanted)


@hypothesis.given(
    arrays(np.int8, (7, 3), elements=st.integers(0, 1)),
    arrays(np.float64, (7, 3), elements=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0])),
)
def test_pedestrian_metrics_agree_on_any_table(y, scores):
    """Empty rows, attributes of one class, nothing predicted and ties at the threshold included."""
    same(quiet(pedestrian_metrics, y, scores), rethinking(y, scores))
    if y.any():
        above = np.nextafter(0.5, 0)
        found = quiet(pedestrian_metrics, y, scores, empty_rows="drop", threshold=above)
        same(found, older_toolkit(y, scores))


def test_missing_labels_have_no_effect(rng):
    """The metrics equal loops over the known cells."""
    y, scores = random_table(rng, n_labels=6, unknown=0.4)
    y[0] = np.nan
    balanced, rows = [], []
    for j in range(6):
        known = ~np.isnan(y[:, j])
        balanced.append(rethinking(y[known][:, [j]], scores[known][:, [j]])["mA"])
    for i in range(len(y)):
        known = ~np.isnan(y[i])
        if known.any():
            one = rethinking(y[[i]][:, known], scores[[i]][:, known])
            rows.append([one["accuracy"], one["precision"], one["recall"]])
    accuracy, precision, recall = np.mean(rows, axis=0)
    wanted = {"mA": np.mean(balanced), "accuracy": accuracy, "f1": harmonic(precision, recall)}
    same(pedestrian_metrics(y, scores), wanted)


def test_a_threshold_per_attribute(rng):
    """An array has one threshold per column, and infinity predicts nothing."""
    y, scores = random_table(rng, n_labels=3)
    cuts = np.array([0.2, 0.5, np.inf])
    moved = np.where(scores > cuts, 1.0, 0.0)
    for function in (pedestrian_metrics, vaw_metrics):
        found, wanted = function(y, scores, threshold=cuts), function(y, moved)
        for key in ("mA", "f1") if function is pedestrian_metrics else ("mA", "overall_f1"):
            assert found[key] == wanted[key]
    found, wanted = coco_metrics(y, scores, threshold=cuts), coco_metrics(y, moved)
    assert {**found, "mAP": 0} == {**wanted, "mAP": 0}


def test_float32_scores_are_compared_as_numpy_compares_them():
    """A float32 score is not above the float it is rounded from, as in the official codes."""
    scores = np.array([[0.3], [0.6]], dtype=np.float32)
    assert pedestrian_metrics([[0], [1]], scores, threshold=0.3)["mA"] == 1.0
    assert coco_metrics([[1], [0]], scores, threshold=0.3)["OR"] == 1.0


# --- VAW -------------------------------------------------------------------------------------


def vaw_class(truths, predictions):
    """Return the official figures of one class, or of all cells; -1 is undefined."""
    pairs = list(zip(truths, predictions, strict=True))
    tp, fp, fn, tn = (pairs.count(pair) for pair in [(1, 1), (0, 1), (1, 0), (0, 0)])
    if tp + fp == 0:
        recall, precision = 0.0, 1.0
    else:
        recall = tp / (tp + fn) if tp + fn else -1
        precision = tp / (tp + fp)
    tnr = tn / (tn + fp) if tn + fp else -1
    f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    bacc = -1 if -1 in (recall, tnr) else (recall + tnr) / 2
    return {"recall": recall, "precision": precision, "tnr": tnr, "f1": f1, "bacc": bacc}


def vaw_official(y, scores, columns, threshold=0.5, k=15):
    """Transcribe eval/evaluator.py of adobe-research/vaw_dataset; labels are 0, 1 and NaN."""
    n = len(y)
    top = np.zeros(y.shape, dtype=int)
    for i in range(n):
        for j in np.argpartition(scores[i], -k)[-k:]:
            top[i, j] = scores[i, j] > 0
    result = {}
    for name, predicted in (("", (scores > threshold).astype(int)), (f"@{k}", top)):
        cells, classes = ([], []), []
        for j in columns:
            rows = [i for i in range(n) if not math.isnan(y[i, j])]
            truths, given = [y[i, j] for i in rows], [predicted[i, j] for i in rows]
            cells[0].extend(truths)
            cells[1].extend(given)
            classes.append(vaw_class(truths, given))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                classes[-1]["ap"] = average_precision_score(truths, [scores[i, j] for i in rows])
        for key, value in vaw_class(*cells).items():
            result[f"overall_{key}{name}"] = value
        for key in ("precision", "recall", "f1", "tnr", "bacc", "ap"):
            values = [one[key] for one in classes]
            result[f"per_class_{key}{name}"] = -1 if -1 in values else sum(values) / len(values)
    names = {
        "per_class_ap": "mAP",
        f"per_class_recall@{k}": f"mR@{k}",
        "per_class_bacc": "mA",
        f"overall_f1@{k}": f"F1@{k}",
    }
    del result[f"per_class_ap@{k}"]
    return {
        names.get(key, key.replace("bacc", "balanced_accuracy")): value
        for key, value in result.items()
    }


@pytest.mark.parametrize("decimals", [None, 1], ids=["distinct scores", "tied scores"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_vaw_metrics_equal_the_official_evaluator(rng, decimals, dtype):
    """All figures agree, overall, per class, at the threshold and at the top 15, per group."""
    y, scores = random_table(rng, n=80, n_labels=40, unknown=0.6, decimals=decimals)
    scores = scores.astype(dtype)
    groups = {"head": list(range(7)), "tail": [8, 39]}
    found = vaw_metrics(y, scores, groups=groups)
    wanted = vaw_official(y, scores, range(40))
    same(found, wanted)
    assert list(found)[:4] == ["mAP", "mR@15", "mA", "F1@15"]
    for group, columns in groups.items():
        inside = vaw_official(y, scores, columns)
        same(found, {f"{key}/{group}": value for key, value in inside.items()})
    assert len(found) == 3 * len(wanted)


def test_top_scores_are_taken_before_masking(rng):
    """An unlabelled attribute can be among the top k, and a score of 0 is never predicted."""
    y = np.array([[np.nan, 1, 0], [1, 1, 0], [0, 0, 1]])
    scores = np.array([[0.9, 0.8, 0.1], [0.7, 0.1, 0.2], [0.0, 0.0, 0.0]])
    found = vaw_metrics(y, scores, k=1)
    assert found["mR@1"] == pytest.approx((1 + 0 + 0) / 3)
    assert found["overall_recall@1"] == pytest.approx(1 / 4)
    assert found["per_class_precision@1"] == 1.0  # two classes are predicted nowhere


def test_official_special_cases_of_vaw():
    """AP without a positive counts as 0; figures of -1 are left out of the mean."""
    y = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1]])
    scores = np.array([[0.9, 0.8, 0.7, 0.2], [0.1, 0.2, 0.4, 0.1], [0.3, 0.6, 0.9, 0.3]])
    with pytest.warns(SkattrWarning) as caught:
        found = vaw_metrics(y, scores, k=2)
    [message] = [str(warning.message) for warning in caught]
    assert "['y0'] without a positive" in message
    assert "['y1'] without a negative. mA is a mean over 2 attribute(s), the recall" in message
    wanted = vaw_official(y, scores, range(4), k=2)
    assert wanted["mA"] == wanted["mR@2"] == -1
    same(found, {key: value for key, value in wanted.items() if value != -1})
    assert found["mA"] == pytest.approx((1 + 0.5) / 2)


@hypothesis.given(
    arrays(np.float64, (6, 4), elements=st.sampled_from([0.0, 1.0, math.nan])),
    arrays(np.float64, (6, 4), elements=st.sampled_from([0.0, 0.2, 0.5, 0.6, 0.9, 1.0])),
)
def test_vaw_metrics_agree_on_any_table(y, scores):
    """All figures that the evaluator defines are equal, if every class has a label."""
    hypothesis.assume((~np.isnan(y)).any(axis=0).all())
    wanted = vaw_official(y, scores, range(4), k=2)
    found = quiet(vaw_metrics, y, scores, k=2)
    same(found, {key: value for key, value in wanted.items() if value != -1})


def test_groups_by_name(rng):
    """A group is given by the names of a DataFrame, or by positions."""
    y, scores = random_table(rng, n_labels=3)
    frame = pd.DataFrame(y, columns=["hat", "tie", "bag"])
    by_attribute_name = vaw_metrics(frame, scores, groups={"small": ["bag", "hat"]})
    assert by_attribute_name == vaw_metrics(y, scores, groups={"small": [0, 2]})
    for members, message in (
        (["scarf"], "Group 'small' names 'scarf', which is no attribute of"),
        ([], "no attribute, or one twice"),
        (["hat", 0], "one twice"),
        ([3], "names 3"),
    ):
        with pytest.raises(ValueError, match=message):
            vaw_metrics(frame, scores, groups={"small": members})


# --- COCO style ------------------------------------------------------------------------------


def average_precision(y, scores):
    """Return the sum of precision times the step of recall, ties taken together."""
    positives, before, total = sum(y == 1), 0, 0.0
    for cut in sorted(set(scores.tolist()), reverse=True):
        hits = sum(1 for truth, score in zip(y, scores, strict=True) if truth == 1 and score >= cut)
        total += (hits - before) / positives * hits / sum(score >= cut for score in scores)
        before = hits
    return total


def average_precision_of_the_order(y, scores):
    """Transcribe ML-GCN: precision at each positive down the sorted rows."""
    hits, total = 0, 0.0
    for rank, i in enumerate(np.argsort(-scores, kind="stable"), start=1):
        if y[i] == 1:
            hits += 1
            total += hits / rank
    return total / hits


def average_precision_of_voc(y, scores):
    """Transcribe voc_ap as in SSGRL and Query2Label: the envelope of precision, all points."""
    hits, recalls, precisions = 0, [0.0], [0.0]
    for rank, i in enumerate(np.argsort(-scores), start=1):
        hits += y[i] == 1
        recalls.append(hits / sum(y == 1))
        precisions.append(hits / rank)
    recalls.append(1.0)
    precisions.append(0.0)
    for i in range(len(precisions) - 1, 0, -1):
        precisions[i - 1] = max(precisions[i - 1], precisions[i])
    return sum((recalls[i] - recalls[i - 1]) * precisions[i] for i in range(1, len(recalls)))


def ml_gcn(y, logits, top_k=None):
    """Transcribe AveragePrecisionMeter of ML-GCN, util.py: overall and overall_topk."""
    n, n_classes = y.shape
    given = np.zeros(y.shape, dtype=bool)
    for i in range(n):
        best = sorted(range(n_classes), key=lambda j: -logits[i, j])[: top_k or n_classes]
        for j in best:
            given[i, j] = logits[i, j] >= 0
    Nc = [sum(y[i, j] == 1 and given[i, j] for i in range(n)) for j in range(n_classes)]
    Np = [sum(given[:, j]) or 1 for j in range(n_classes)]
    Ng = [sum(y[:, j] == 1) for j in range(n_classes)]
    OP, OR = sum(Nc) / sum(Np), sum(Nc) / sum(Ng)
    CP = sum(c / p for c, p in zip(Nc, Np, strict=True)) / n_classes
    CR = sum(c / g for c, g in zip(Nc, Ng, strict=True)) / n_classes
    figures = {"OP": OP, "OR": OR, "OF1": harmonic(OP, OR)}
    return {**figures, "CP": CP, "CR": CR, "CF1": harmonic(CP, CR)}


def rethinking_multilabel(y, scores, threshold):
    """Transcribe prob2metric of Rethinking_of_PAR, metrics/ml_metrics.py."""
    n_classes = y.shape[1]
    given = scores > threshold
    hits = [int((given[:, j] * y[:, j]).sum()) for j in range(n_classes)]
    precisions = [divide(hits[j], given[:, j].sum()) for j in range(n_classes)]
    recalls = [hits[j] / y[:, j].sum() for j in range(n_classes)]
    f1 = [harmonic(p, r) for p, r in zip(precisions, recalls, strict=True)]
    OP, OR = sum(hits) / given.sum(), sum(hits) / y.sum()
    CP, CR = sum(precisions) / n_classes, sum(recalls) / n_classes
    figures = {"OP": OP, "OR": OR, "OF1": harmonic(OP, OR), "CF1_mean": sum(f1) / n_classes}
    return {**figures, "CP": CP, "CR": CR, "CF1": harmonic(CP, CR)}


@pytest.mark.parametrize("top_k", [None, 3])
def test_coco_metrics_equal_ml_gcn(rng, top_k):
    """At the threshold and at the top 3, with logits and with probabilities."""
    y, scores = random_table(rng, n_labels=8)
    logits = np.log(scores / (1 - scores))
    wanted = {
        **ml_gcn(y, logits, top_k),
        "mAP": np.mean(
            [average_precision_of_the_order(a, b) for a, b in zip(y.T, scores.T, strict=True)]
        ),
    }
    same(coco_metrics(y, scores, top_k=top_k, overall="ml-gcn"), wanted)
    same(coco_metrics(y, logits, top_k=top_k, overall="ml-gcn", threshold=0), wanted)


def test_a_class_without_predictions(rng):
    """Its precision is 0; ML-GCN counts a prediction for it in OP, Rethinking_of_PAR does not."""
    y, scores = random_table(rng, n_labels=6)
    scores[:, :2] *= 0.4
    logits = np.log(scores / (1 - scores))
    above = np.nextafter(0.5, 1)
    same(coco_metrics(y, scores, overall="ml-gcn"), ml_gcn(y, logits))
    found = coco_metrics(y, scores, threshold=above)
    same(found, rethinking_multilabel(y, scores, 0.5))
    assert found["OP"] > ml_gcn(y, logits)["OP"]
    silent = coco_metrics(y, scores, threshold=np.inf)
    assert [silent[key] for key in ("CP", "CF1", "CF1_mean", "OP", "OF1")] == [0.0] * 5


def test_two_definitions_of_class_f1(rng):
    """The harmonic mean of means is above the mean of harmonic means."""
    y, scores = random_table(rng, n_labels=8)
    scores[:, :4] = scores[:, :4] ** 3
    scores[:, 4:] = scores[:, 4:] ** 0.3
    found = coco_metrics(y, scores)
    wanted = rethinking_multilabel(y, scores, 0.5)
    same(found, wanted)
    assert found["CF1"] > found["CF1_mean"] + 0.02


def test_top_k_without_a_threshold(rng):
    """A threshold of minus infinity predicts all k; ties are broken by class order."""
    y, scores = random_table(rng, n_labels=6)
    given = np.zeros(y.shape)
    for i in range(len(y)):
        given[i, np.argsort(-scores[i])[:2]] = 1
    found = coco_metrics(y, scores, top_k=2, threshold=-np.inf)
    assert found["OP"] == pytest.approx((given * y).sum() / given.sum())
    assert coco_metrics([[1, 0], [1, 1]], [[0.7, 0.7], [0.7, 0.7]], top_k=1)["OP"] == 1.0


def test_ap_of_ties_does_not_depend_on_the_order(rng):
    """Some toolkits follow the order of rows; here AP equals scikit-learn."""
    y = np.array([1] * 5 + [0] * 5, dtype=float)
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.2, 0.5, 0.5, 0.5, 0.1, 0.1])
    back = slice(None, None, -1)
    by_order = {average_precision_of_the_order(y[order], scores[order]) for order in (..., back)}
    assert max(by_order) > min(by_order) + 0.1
    for order in (..., back, rng.permutation(10)):
        table = y[order][:, np.newaxis], scores[order][:, np.newaxis]
        found = coco_metrics(*table)["mAP"]
        assert found == pytest.approx(average_precision(y, scores), abs=1e-12)
        assert found == pytest.approx(average_precision_score(y, scores), abs=1e-12)
        assert found == vaw_metrics(*table)["mAP"]


@hypothesis.given(
    arrays(np.int8, (9, 2), elements=st.integers(0, 1)),
    st.lists(st.floats(0, 1, width=32), min_size=18, max_size=18, unique=True),
)
def test_ap_of_any_distinct_scores(y, scores):
    """Both definitions equal their codes if no scores are tied."""
    hypothesis.assume(y.any(axis=0).all())
    scores = np.array(scores).reshape(9, 2)
    for ap, function in (
        ("sklearn", average_precision_of_the_order),
        ("voc", average_precision_of_voc),
    ):
        wanted = np.mean([function(y[:, j], scores[:, j]) for j in range(2)])
        assert coco_metrics(y, scores, ap=ap)["mAP"] == pytest.approx(wanted, abs=1e-12)


def test_classes_without_positives_are_left_out_of_means(rng):
    """One warning has their names and the number left; CP counts them as the codes do."""
    y, scores = random_table(rng, n_labels=5)
    y[:, 1], y[:, 3] = 0, np.nan
    with pytest.warns(SkattrWarning) as caught:
        found = coco_metrics(pd.DataFrame(y, columns=list("abcde")), scores)
    [message] = [str(warning.message) for warning in caught]
    assert "['d'] without a known label are left out of every mean (a mean over the other 4)" in (
        message
    )
    assert "['b'] without a positive are left out of mAP, CR and CF1_mean" in message
    assert message.endswith("(a mean over the other 3).")
    kept = coco_metrics(y[:, [0, 2, 4]], scores[:, [0, 2, 4]])
    for key in ("mAP", "CR", "CF1_mean", "OR"):
        assert found[key] == pytest.approx(kept[key])
    assert found["CP"] == pytest.approx(kept["CP"] * 3 / 4)


# --- CheXpert --------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "meaning"), [("ignore", None), ("zeros", 0), ("ones", 1)])
def test_chexpert_auc_by_policy(rng, policy, meaning):
    """The five columns are found among others; uncertain and blank labels differ."""
    names = ["No Finding", *FIVE, "Fracture"]
    y, scores = random_table(rng, n_labels=7, unknown=0.2)
    y[rng.random(y.shape) < 0.2] = -1
    frame = pd.DataFrame(y, columns=names)
    frame.insert(0, "Path", "CheXpert/view1.jpg")
    areas = []
    for j in range(1, 6):
        pairs = [(a, b) for a, b in zip(y[:, j], scores[:, j], strict=True) if not math.isnan(a)]
        pairs = [(meaning if a == -1 else a, b) for a, b in pairs if a != -1 or policy != "ignore"]
        areas.append(roc_auc_score([a for a, _ in pairs], [b for _, b in pairs]))
    wanted = {"mAUC": np.mean(areas)}
    wanted.update({f"AUC/{name}": area for name, area in zip(FIVE, areas, strict=True)})
    by_attribute_name = pd.DataFrame(scores, columns=names)[names[::-1]]
    found = chexpert_auc(frame, by_attribute_name, uncertain=policy)
    assert list(found) == list(wanted)
    same(found, wanted)
    assert found == chexpert_auc(frame, scores[:, 1:6], uncertain=policy)
    assert found == chexpert_auc(frame[names], scores, uncertain=policy)
    pairs = [np.stack([1 - column, column], axis=1) for column in scores.T]
    assert found == chexpert_auc(frame[names], pairs, uncertain=policy)
    other = frame.replace(-1, "u")
    assert found == chexpert_auc(other, by_attribute_name, uncertain=policy, uncertain_label="u")
    array = chexpert_auc(y[:, 1:6], scores[:, 1:6], uncertain=policy)
    assert list(array)[1] == "AUC/y0" and array["mAUC"] == found["mAUC"]
    some = chexpert_auc(
        frame, by_attribute_name, uncertain=policy, observations=["Fracture", "Edema"]
    )
    assert list(some) == ["mAUC", "AUC/Fracture", "AUC/Edema"]


def test_chexpert_auc_of_one_class(rng):
    """An observation of one class has no AUC, and the warning has the number left."""
    y, scores = random_table(rng, n_labels=5)
    y[:, 2] = 0
    with pytest.warns(SkattrWarning, match=r"\['Consolidation'\].*over the other 4\)\."):
        found = chexpert_auc(pd.DataFrame(y, columns=FIVE), scores)
    assert math.isnan(found["AUC/Consolidation"])
    assert found["mAUC"] == np.nanmean(list(found.values())[1:])
    with pytest.raises(ValueError, match="`observations` names 'Edema', which is no attribute"):
        chexpert_auc(pd.DataFrame(y, columns=[*FIVE[:3], "x", FIVE[4]]), scores)
    with pytest.raises(ValueError, match="None of its labels"):
        chexpert_auc(np.full((3, 2), -1), np.zeros((3, 2)))


# --- what all of them take -------------------------------------------------------------------


@pytest.mark.parametrize("function", EVERY)
def test_all_forms_of_labels_and_scores_are_equivalent(rng, function):
    """Bools, NA, objects, lists, DataFrames and lists of probabilities."""
    y, scores = random_table(rng, n_labels=5, unknown=0.2)
    wanted = function(y, scores)
    names = FIVE if function is chexpert_auc else list("abcde")
    nullable = pd.DataFrame(y, columns=names).astype("boolean")
    nones = [[None if math.isnan(v) else bool(v) for v in row] for row in y]
    pairs = [np.stack([1 - column, column], axis=1) for column in scores.T]
    mixed = pd.DataFrame(nones, columns=names).astype({names[0]: object, names[1]: "category"})
    mixed[names[2]] = y[:, 2]
    for labels in (nullable, nullable.astype("Float32"), nones, mixed):
        for given in (scores, pairs, scores.tolist(), scores.astype(object)):
            np.testing.assert_array_equal(
                list(function(labels, given).values()), list(wanted.values())
            )
    table = pd.DataFrame(scores, columns=names)
    assert list(function(nullable, table).values()) == list(wanted.values())
    one = function(y[:, 0], np.stack([1 - scores[:, 0], scores[:, 0]], axis=1))
    assert one == function(y[:, [0]], scores[:, [0]])


@pytest.mark.parametrize("function", EVERY)
@pytest.mark.parametrize(
    ("y_true", "y_score", "error", "message"),
    [
        ([[1, 0]], np.ma.array([[0.1, 0.2]]), TypeError, "y_score is a masked array"),
        (np.eye(2), scipy.sparse.eye(2), TypeError, "y_score is sparse"),
        (None, [[0.1]], ValueError, "y_true is None"),
        ([[1, 0], [2, 0]], np.eye(2), ValueError, "column 'y0', row 1: the label 2"),
        ([[1, "0"]], [[0.1, 0.2]], ValueError, "column 'y1', row 0: the label '0'"),
        ([[1, 0.5]], [[0.1, 0.2]], ValueError, "the label 0.5 is neither 0 nor 1"),
        (np.full((2, 2), np.nan), np.eye(2), ValueError, "Input y_true contains NaN"),
        (np.empty((0, 2)), np.empty((0, 2)), ValueError, "y_true is empty"),
        ([[1, 0], [0, 1]], np.eye(3), ValueError, r"\(3, 3\), but y_true has shape \(2, 2\)"),
        ([[1, 0], [0, 1]], [[0.1, np.nan], [0.1, 0.3]], ValueError, "row 0, attribute 'y1'"),
        (
            [[1, 0], [0, 1]],
            [[0.1, 0.2], [np.inf, 0.3]],
            ValueError,
            "row 1, .*is inf; scores must be finite",
        ),
        ([[1, 0], [0, 1]], [np.zeros((2, 2)), np.zeros((2, 3))], ValueError, "of attribute 1"),
        ([[1, 0], [0, 1]], [["a", "b"], ["c", "d"]], ValueError, "must hold numbers"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2)), ValueError, "."),
    ],
)
def test_rejects_invalid_tables(function, y_true, y_score, error, message):
    """The error names row and column."""
    with pytest.raises(error, match=message):
        function(y_true, y_score)


def test_rejects_invalid_parameters(rng):
    """Options, thresholds, k and names are checked."""
    y, scores = random_table(rng, n_labels=3)
    with pytest.raises(ValueError, match="`empty_rows` must be one of 'count', 'drop'"):
        pedestrian_metrics(y, scores, empty_rows="skip")
    for options in ({"ap": "11"}, {"overall": "macro"}):
        with pytest.raises(ValueError, match="must be one of"):
            coco_metrics(y, scores, **options)
    with pytest.raises(ValueError, match="`uncertain` must be one of"):
        chexpert_auc(y, scores, uncertain="half")
    for threshold, message in (([0.5, 0.5], r"per attribute \(3\)"), (np.nan, "NaN")):
        with pytest.raises(ValueError, match=message):
            pedestrian_metrics(y, scores, threshold=threshold)
    for k in (0, 1.5, True):
        with pytest.raises(ValueError, match="`k` must be a whole number"):
            vaw_metrics(y, scores, k=k)
        with pytest.raises(ValueError, match="`top_k` must be a whole number"):
            coco_metrics(y, scores, top_k=k)
    with pytest.raises(ValueError, match="row 0, attribute 'y0': .* is not a probability"):
        vaw_metrics(y, scores - 1)
    frame = pd.DataFrame(scores, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"y_score lacks \['d'\] and also has \['c'\]"):
        coco_metrics(pd.DataFrame(y, columns=["b", "a", "d"]), frame)
    twice = pd.DataFrame(y, columns=["a", "a", "c"])
    for function in EVERY[:3]:
        with pytest.raises(ValueError, match="more than once"):
            function(twice, scores)


def test_a_missing_score_is_valid_if_the_label_is_missing(rng):
    """It has no effect, but top k needs all scores."""
    y, scores = random_table(rng, n_labels=4, unknown=0.3)
    holes = np.where(np.isnan(y), np.nan, scores)
    for function in (pedestrian_metrics, coco_metrics):
        assert function(y, holes) == function(y, scores)
    for function, options in ((vaw_metrics, {}), (coco_metrics, {"top_k": 2})):
        with pytest.raises(ValueError, match="scores must be finite"):
            function(y, holes, **options)


def test_mean_accuracy_of_degenerate_attributes(rng):
    """An undefined rate counts as 0, attributes without a label are left out, with a warning."""
    y, scores = random_table(rng, n_labels=4)
    y[:, 1] = 1
    with pytest.warns(SkattrWarning, match=r"1 of 4 attribute\(s\) \['y1'\] are of one class"):
        same(pedestrian_metrics(y, scores), rethinking(y, scores))
    y[:, 2] = np.nan
    with pytest.warns(SkattrWarning) as caught:
        found = pedestrian_metrics(y, scores)
    [message] = [str(warning.message) for warning in caught]
    assert "['y2'] without a known label are left out of mA (a mean over the other 3)" in message
    keep = [0, 1, 3]
    assert found["mA"] == pytest.approx(rethinking(y[:, keep], scores[:, keep])["mA"])
    with pytest.warns(SkattrWarning, match="No image has a true label"):
        empty = pedestrian_metrics(np.zeros((3, 2)), np.ones((3, 2)), empty_rows="drop")
    assert empty["mA"] == 0 and math.isnan(empty["f1"])


@pytest.mark.parametrize("function", [pedestrian_metrics, vaw_metrics, coco_metrics])
def test_a_score_equal_to_the_threshold(function):
    """`strict` says whether it is predicted; it equals moving the threshold by one step."""
    y = [[1, 0], [0, 1], [1, 1], [0, 0]]
    scores = np.array([[0.5, 0.2], [0.5, 0.5], [0.9, 0.4], [0.1, 0.5]])
    strict, loose = (function(y, scores, strict=value) for value in (True, False))
    assert strict != loose
    assert strict == function(y, scores, threshold=np.nextafter(0.5, 1), strict=False)
    assert loose == function(y, scores, threshold=np.nextafter(0.5, 0), strict=True)
    assert function(y, scores) == (loose if function is coco_metrics else strict)
