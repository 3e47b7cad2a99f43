"""Folds, mixtures, guards, classifiers and statistics, against hand-made cases, scikit-learn, SciPy and statsmodels."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from uslab import phantom, tasks
from uslab.data import ImageSet
from uslab.tasks.result import Result

pytestmark = pytest.mark.numeric

CLASSES = ("benign", "malignant", "normal")


def made(n=60, seed=0, size=16, groups=None, card="toy"):
    """Images whose class is the place of a bright bar; two images a patient unless groups are given."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) // 2 % 3
    images = rng.integers(0, 60, (n, 1, size, size), dtype=np.uint8)
    third = size // 3
    for image, label in zip(images, labels):
        image[0, label * third:(label + 1) * third] += 120
    groups = np.arange(n) // 2 if groups is None else np.asarray(groups)
    return ImageSet(torch.from_numpy(images), card, "phantom",
                    pd.DataFrame({"file": [f"{seed}-{i}" for i in range(n)]}),
                    torch.from_numpy(labels), CLASSES, groups=torch.from_numpy(groups),
                    group_names=tuple(f"{seed}-{i}" for i in range(groups.max() + 1)))


def synthetic(train, n=200, seed=9):
    source = made(n, seed, train.images.shape[2])
    return tasks.synthetic_set(source.images, train, source.labels)


# Folds

def test_folds_test_each_image_once_and_part_no_patient():
    images = made(90, groups=np.random.default_rng(1).integers(0, 30, 90))
    rows = {file: i for i, file in enumerate(images.table.file)}
    tested = []
    for train, test in tasks.folds(images, 5, seed=3):
        assert not set(train.groups.tolist()) & set(test.groups.tolist())
        assert len(train) + len(test) == 90
        tested += [rows[file] for file in test.table.file]
        shares = np.bincount(test.labels, minlength=3) / len(test)
        assert np.abs(shares - 1 / 3).max() < 0.2
    assert sorted(tested) == list(range(90))


def test_folds_follow_the_seed():
    images = made()
    files = [[test.table.file.tolist() for _, test in tasks.folds(images, 3, seed)] for seed in (0, 0, 1)]
    assert files[0] == files[1] != files[2]


def test_folds_refuse():
    images = made(12)
    with pytest.raises(ValueError, match="6 patients"):
        tasks.folds(images, 7)
    with pytest.raises(ValueError, match="no labels"):
        tasks.folds(tasks.synthetic_set(images.images, images), 2)
    with pytest.raises(ValueError, match="synthetic images"):
        tasks.folds(tasks.join(images, synthetic(images)), 2)


# Mixtures

@pytest.mark.parametrize("share, relative", [(0.25, 1 / 3), (0.5, 1), (0.75, 3)])
def test_share_of_the_mixture_is_not_relative_to_the_real(share, relative):
    train = made(60)
    pool = synthetic(train)
    for fixed, real in (("real", 60), ("total", round(60 * (1 - share)))):
        one, other = (tasks.mix(train, pool, fixed=fixed, **kind)
                      for kind in ({"share": share}, {"relative": relative}))
        made_up = one.table.synthetic.astype(bool)
        assert (~made_up).sum() == real and made_up.mean() == share
        assert one.sha256() == other.sha256()
        for rows in (made_up, ~made_up):  # each class in the same proportion, as nearly as whole images allow
            assert np.ptp(np.bincount(one.labels[torch.tensor(rows)], minlength=3)) <= 1


def test_mixture_draws_without_replacement_and_by_seed():
    train = made(60)
    pool = synthetic(train)
    mixtures = [tasks.mix(train, pool, share=0.5, seed=seed) for seed in (0, 0, 1)]
    assert mixtures[0].sha256() == mixtures[1].sha256() != mixtures[2].sha256()
    drawn = mixtures[0].table.file[mixtures[0].table.synthetic.astype(bool)]
    assert drawn.is_unique
    assert set(mixtures[0].table.file) >= set(train.table.file)
    assert tasks.mix(train, pool, share=0).sha256() == tasks.join(train).sha256()


@pytest.mark.parametrize("arguments, message", [
    ({}, "one of them"), ({"share": 0.5, "relative": 1}, "one of them"), ({"share": 1.0}, "below 1"),
    ({"share": 3.0}, "share=0.75 or relative=3"), ({"relative": -1}, "at least 0"),
    ({"share": 0.5, "fixed": "both"}, "'real' or 'total'"),
    ({"relative": 20}, "400 synthetic images of the class benign"),
])
def test_mixtures_refuse(arguments, message):
    train = made(60)
    with pytest.raises(ValueError, match=message):
        tasks.mix(train, synthetic(train), **arguments)


def test_joined_sets_keep_patients_apart_and_synthetic_ones_together():
    a, b = made(8, seed=0), made(6, seed=1)
    joined = tasks.join(a, b, synthetic(a, 10))
    assert len(joined) == 24 and len(joined.groups.unique()) == 4 + 3 + 1
    assert joined.group_names[int(joined.groups[-1])] == "synthetic"
    assert (joined.images[8:14] == b.images).all() and (joined.labels[8:14] == b.labels).all()
    with pytest.raises(ValueError, match="16, 16.*12, 12|12, 12.*16, 16"):
        tasks.join(a, made(6, size=12))


# Guard

def test_guard_finds_images_and_patients_that_a_generator_saw(tmp_path):
    images = made(40)
    train, test = images[:20], images[20:]
    fake = synthetic(train)
    tasks.guard(test, fake)
    with pytest.raises(ValueError, match="1 of 3 images and the patients or exams toy 0-3"):
        tasks.guard(images[[6, 20, 30]], fake)
    other_frame = made(40, seed=5)[[6]]
    same_patient = ImageSet(other_frame.images, "toy", "phantom", other_frame.table, other_frame.labels, CLASSES,
                            groups=torch.tensor([0]), group_names=("0-3",))
    with pytest.raises(ValueError, match="patients or exams toy 0-3 of the test fold"):
        tasks.guard(same_patient, fake)
    # What was seen outlives indexing, mixing and saving.
    tasks.mix(train, fake, share=0.5)[::3].save(tmp_path / "set.safetensors")
    with pytest.raises(ValueError, match="were seen"):
        tasks.guard(images[[6, 30]], ImageSet.load(tmp_path / "set.safetensors").seen)


def test_classify_guards_every_fold():
    images = made(60)
    train, val, test = images[:30], images[30:46], images[46:]
    with pytest.raises(ValueError, match="were seen"):
        tasks.classify(train, images[28:])
    with pytest.raises(ValueError, match="were seen"):
        tasks.classify(train, test, val=images[40:50])
    for seen in (val, test):
        with pytest.raises(ValueError, match="were seen"):
            tasks.classify(tasks.join(train, synthetic(seen)), test, val=val)


def test_phantom_patients_of_two_seeds_are_two_patients():
    a, b = (phantom.load("breast", 3, 64, seed=seed) for seed in (0, 1))
    tasks.guard(a, b)
    with pytest.raises(ValueError, match="phantom_breast 0-"):
        tasks.guard(a[[0]], a)


# Results

def result(truth, predicted, groups=None, classes=CLASSES):
    truth, predicted = np.array(classes)[truth], np.array(classes)[predicted]
    return Result("a test", classes, pd.DataFrame({
        "group": np.arange(len(truth)) if groups is None else groups, "truth": truth, "predicted": predicted}), {})


def test_measures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.6, truth, rng.integers(0, 3, 200))
    found = result(truth, predicted)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, predicted)
    np.testing.assert_allclose(found.table.iloc[:3][["precision", "recall", "F1"]],
                               np.stack([precision, recall, f1], 1))
    assert found.f1_macro == pytest.approx(sk.f1_score(truth, predicted, average="macro"))
    assert found.accuracy == pytest.approx(sk.f1_score(truth, predicted, average="micro"))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
    assert (found.confusion.to_numpy() == sk.confusion_matrix(truth, predicted)).all()


def test_majority_row_and_counts():
    """Grimwood's patient EUS5: 'always pancreas' is right in 1289 of 1933 images."""
    truth = np.repeat([0, 1, 2], [400, 244, 1289])
    found = result(truth, np.zeros(1933, int), np.arange(1933) // 100)
    assert found.table.index[-1] == "always normal" and found.table.iloc[-1].accuracy == pytest.approx(0.6668, abs=1e-4)
    assert found.table.iloc[-1]["balanced accuracy"] == pytest.approx(1 / 3)
    assert found.table.images.tolist() == [400, 244, 1289, 1933, 1933]
    assert found.table.patients.tolist() == [4, 3, 14, 20, 20]
    assert found.table.loc["all", "accuracy"] == pytest.approx(400 / 1933)


def test_classes_without_test_images_count_only_as_errors():
    found = result([0, 0, 2, 2], [0, 1, 2, 2])
    assert np.isnan(found.table.loc["malignant", "recall"]) and found.table.loc["malignant", "precision"] == 0
    assert found.balanced_accuracy == 0.75 and found.accuracy == 0.75


@pytest.mark.slow
def test_intervals_of_scores_cover_and_know_patients():
    def one(seed, frames):
        rng = np.random.default_rng(seed)
        skill = rng.beta(3.5, 1.5, 40)   # of a patient, 0.7 on average
        right = rng.random((40, frames)) < (skill[:, None] if frames > 1 else 0.7)
        truth = np.repeat(np.arange(40) % 2, frames)
        score = result(truth, np.where(right.ravel(), truth, 1 - truth), np.repeat(np.arange(40), frames),
                       ("one", "two")).scores()
        return [[each.low, each.high] for each in score]

    for frames in (1, 10):
        ends = np.array([one(seed, frames) for seed in range(200)])
        covered = ((ends[..., 0] <= 0.7) & (0.7 <= ends[..., 1])).mean(0)
        assert (covered[[0, 2]] >= 0.9).all() and (covered[[0, 2]] <= 0.99).all()
    few = result([0, 1, 2] * 4, [0, 1, 2] * 4, [0, 1] * 6).scores()[0]
    assert np.isnan(few.low) and "no interval: 2 patients" in few.note and "always benign 0.333" in few.note


@pytest.mark.slow
def test_features_classify_what_can_be_seen_and_say_what_they_are():
    train, test = made(60, size=32), made(30, seed=1, size=32)
    found = tasks.classify(train, test)
    assert found.accuracy == 1 and "EfficientNet-Lite0" in found.about and "logistic regression" in found.about
    rows = found.predictions
    assert rows.file.tolist() == test.table.file.tolist() and rows.group[3] == "1-1"
    np.testing.assert_allclose(rows[["p_benign", "p_malignant", "p_normal"]].sum(axis=1), 1)
    # Synthetic images with wrong labels must hurt, or they are not trained on.
    wrong = tasks.synthetic_set(made(150, 7, 32).images, train, (made(150, 7, 32).labels + 1) % 3)
    worse = tasks.classify(tasks.join(train, wrong), test)
    assert worse.images == {"real": 60, "synthetic": 150} and worse.accuracy < 0.5
    none = tasks.classify(tasks.mix(train, wrong, share=0), test)
    assert none.images == {"real": 60, "synthetic": 0} and none.accuracy == 1
    table = tasks.summary({"real": found, "wrong": worse})
    assert table.index.tolist() == ["real", "wrong", "always benign"]
    assert table["synthetic in training"].tolist() == [0, 150, 0] and table.patients.tolist() == [15] * 3


@pytest.mark.slow
def test_features_of_an_image_do_not_depend_on_the_others():
    from uslab.metrics.features import KEPT, features, lite0

    images = made(21, size=32)
    KEPT.clear()
    alone = features(images[13:16])
    together = features(images[[15, 2, 14, 13, 2]])
    KEPT.clear()
    everything = features(images)
    np.testing.assert_array_equal(together, everything[[15, 2, 14, 13, 2]])
    np.testing.assert_array_equal(alone, everything[13:16])
    with torch.inference_mode():
        np.testing.assert_allclose(everything, lite0().embed(images.images), atol=1e-4)
    assert len(KEPT) == 21


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[:2]])
def test_the_features_classifier_is_handed_out_as_the_module_that_was_tested(classes):
    from uslab.tasks.fit import probabilities_of

    def noisy(seed):
        """72 images whose bar hardly shows, less those of other classes: at least 48."""
        images, rng = made(72, seed, 32), np.random.default_rng(seed)
        pixels = 0.25 * images.images + 100 + torch.from_numpy(rng.normal(0, 60, images.images.shape))
        images = dataclasses.replace(images, images=pixels.clamp(0, 255).byte())
        return images[np.isin(images.labels, range(len(classes)))]

    train, test = noisy(0), noisy(1)[:48]
    result = tasks.classify(train, test)
    told = result.predictions[[f"p_{name}" for name in CLASSES]].to_numpy()
    assert 0.5 < result.accuracy < 1 and len(told) == 48
    again = probabilities_of(result.model, test)
    np.testing.assert_array_equal(again.argmax(1), told.argmax(1))
    np.testing.assert_allclose(again, told, atol=1e-3)
    assert (again[:, len(classes):] == 0).all()     # a class without training images has no chance
    maps = tasks.grad_cam(result.model, test[:2], 1)
    assert maps.shape == (2, 1, 32, 32) and maps.amax((1, 2, 3)).tolist() == [1, 1]


def test_the_features_classifier_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from uslab.metrics.features import features

    train, test = made(60, size=32), made(30, seed=1, size=32)
    regression = LogisticRegression(C=1 / 60, class_weight="balanced", max_iter=1000, random_state=0)
    fitted = make_pipeline(StandardScaler(), regression)
    fitted.fit(features(train), train.labels.numpy())
    told = tasks.classify(train, test).predictions[[f"p_{name}" for name in CLASSES]]
    np.testing.assert_allclose(told, fitted.predict_proba(features(test)), atol=1e-4)


@pytest.mark.slow
def test_class_weights_lift_the_rare_class():
    rng = np.random.default_rng(0)
    images = made(150, size=32)
    noise = torch.from_numpy(rng.normal(0, 50, images.images.shape))
    noisy = (0.25 * images.images.float() + 100 + noise).clamp(0, 255)
    images = ImageSet(noisy.byte(), "toy", "phantom", images.table, images.labels, CLASSES, groups=images.groups,
                      group_names=images.group_names)
    rare = np.flatnonzero(images.labels[:100].numpy() == 0)[:6]
    train = images[np.sort(np.concatenate([rare, np.flatnonzero(images.labels[:100].numpy() > 0)]))]
    plain, weighted = (tasks.classify(train, images[100:], weighted=weighted) for weighted in (False, True))
    assert weighted.table.recall["benign"] > plain.table.recall["benign"]
    given = tasks.classify(train, images[100:], weighted=(1e-6, 1, 1))
    assert "benign" not in set(given.predictions.predicted) and "class weights 1e-06, 1, 1" in given.about
    with pytest.raises(ValueError, match="2 weights for the 3 classes"):
        tasks.classify(train, images[100:], weighted=(1, 2))


def test_classify_refuses():
    train, test = made(24), made(12, seed=1)
    with pytest.raises(ValueError, match="unknown model 'vgg'.*vgg16"):
        tasks.classify(train, test, "vgg")
    with pytest.raises(ValueError, match="is too small, use 32x32"):
        tasks.classify(made(24, size=24), made(12, seed=1, size=24), "vgg16")
    with pytest.raises(ValueError, match="no class 'cyst'"):
        tasks.synthetic_set(test.images, train, "cyst")


# Tables

def test_copies_of_the_training_images_change_nothing():
    """The penalty stands beside the mean loss: with a sum, three copies would be a third of the regularisation."""
    train, test = made(36, size=32), made(30, seed=1, size=32)
    once, thrice = (tasks.classify(images, test).predictions.p_benign
                    for images in (train, tasks.join(train, train, train)))
    np.testing.assert_allclose(once, thrice, atol=2e-4)


def asked(monkeypatch):
    """What classify is asked for by classify_all: (training set, steps, weighted) by row, without any training."""
    from uslab.tasks import rows

    calls = []
    monkeypatch.setattr(rows, "classify", lambda images, test, model, **options: calls.append(
        (images, options["steps"], options["weighted"])) or len(calls))
    return calls


def test_a_table_trains_its_rows_equally_and_has_its_controls(monkeypatch):
    calls = asked(monkeypatch)
    train, test = made(60)[np.r_[0:50]], made(30, seed=1)
    sets = {"+50 %": tasks.mix(train, synthetic(train), relative=0.5), "+200 %": tasks.mix(train, synthetic(train),
                                                                                        relative=2)}
    found = tasks.classify_all(train, test, sets, "lite2", epochs=3, batch_size=16)
    assert list(found) == ["real only", "real only, no class weights", "real only, same steps", "real, oversampled",
                           "real, duplicated", "real + noise", "+50 %", "+200 %"]
    rows = {name: calls[number - 1] for name, number in found.items()}
    steps = {name: row[1] for name, row in rows.items()}
    assert steps.pop("real only") == 3 * 4 and set(steps.values()) == {3 * 10}     # 50 and 150 images, batches of 16
    assert [name for name, row in rows.items() if not row[2]] == ["real only, no class weights"]
    counts = {name: np.bincount(row[0].labels, minlength=3).tolist() for name, row in rows.items()}
    assert counts["real, duplicated"] == counts["real + noise"] == counts["+200 %"] == [54, 48, 48]
    assert counts["real, oversampled"] == [18, 18, 18] and counts["real only"] == [18, 16, 16]
    duplicated = rows["real, duplicated"][0].table.file.value_counts()
    assert set(duplicated) == {3} and set(duplicated.index) == set(train.table.file)
    noise = rows["real + noise"][0]
    made_up = noise.images[torch.tensor(noise.table.synthetic.to_numpy(bool))].float()
    assert len(made_up) == 100 and abs(made_up.mean() - 127.5) < 3 and abs(made_up.std() - 73.9) < 3
    calls.clear()
    found = tasks.classify_all(train, test, sets, weighted=False)
    assert list(found)[:3] == ["real only", "real only, class weights", "real, oversampled"]    # it takes no steps
    assert [row[2] for row in calls] == [False, True] + [False] * 5


def test_a_table_of_replaced_images_replaces_them_in_its_controls_too(monkeypatch):
    calls = asked(monkeypatch)
    train, test = made(60), made(30, seed=1)
    sets = {"75 %": tasks.mix(train, synthetic(train), share=0.75, fixed="total")}
    found = tasks.classify_all(train, test, sets, "lite2", epochs=1)
    duplicated, noise, own = (calls[found[name] - 1][0] for name in ("real, duplicated", "real + noise", "75 %"))
    kept = own.table.file[~own.table.synthetic.astype(bool)]
    assert len(duplicated) == len(noise) == 60 and set(duplicated.table.file) == set(kept) and len(kept) == 15


def test_a_generator_that_saw_more_real_images_than_the_real_row_is_refused(monkeypatch):
    asked(monkeypatch)
    images = made(60)
    fake = synthetic(images[:50])
    with pytest.raises(ValueError, match="generator of 'gan' has seen 15 real images or patients that are not in"):
        tasks.classify_all(images[:40], made(30, seed=1), {"gan": tasks.join(images[:40], fake)})


# Statistics

def test_corrected_t_test_by_hand_and_plain_one_by_scipy():
    a, b = np.array([0.80, 0.84, 0.79, 0.86, 0.83]), np.array([0.78, 0.80, 0.80, 0.82, 0.79])
    plain = tasks.paired_t(a, b, corrected=False)
    oracle = stats.ttest_rel(a, b)
    ends = oracle.confidence_interval()
    assert (plain.p, plain.low, plain.high) == pytest.approx((oracle.pvalue, ends.low, ends.high))
    # Five folds: n_test / n_train = 1/4, so the variance of the mean is 1 + 5/4 = 2.25 and its root 1.5 times as large.
    corrected = tasks.paired_t(a, b)
    assert corrected.p == pytest.approx(2 * stats.t.sf(oracle.statistic / 1.5, 4))
    assert corrected.high - corrected.low == pytest.approx(1.5 * (ends.high - ends.low))
    assert f"p = {oracle.pvalue:.3g} with the plain variance" in corrected.note
    repeated = tasks.paired_t(np.tile(a, 2) + 0.01 * np.arange(10), np.tile(b, 2), test_share=0.2)
    gap = np.tile(a, 2) + 0.01 * np.arange(10) - np.tile(b, 2)
    t = gap.mean() / np.sqrt((1 / 10 + 0.25) * gap.var(ddof=1))
    assert repeated.p == pytest.approx(2 * stats.t.sf(t, 9)) and repeated.n == 10


@pytest.mark.parametrize("a, b, value", [([0.1 + 0.2, 0.7], [0.3, 0.7], 0), ([0.5, 0.7], [0.4, 0.6], 0.1)])
def test_a_difference_without_spread_has_neither_interval_nor_p(a, b, value):
    found = tasks.paired_t(a, b)    # equal scores may differ by rounding
    assert found.value == pytest.approx(value) and found.n == 2 and "the same difference on each" in found.note
    assert np.isnan([found.low, found.high, found.p]).all()


@pytest.mark.slow
def test_corrected_t_test_keeps_its_level_where_folds_overlap():
    """Fold scores with the correlation n_test / n that the correction assumes: no difference, 5 % found."""
    rng = np.random.default_rng(0)
    rho, k = 0.2, 5
    gaps = np.sqrt(rho) * rng.normal(size=(2000, 1)) + np.sqrt(1 - rho) * rng.normal(size=(2000, k))
    found = {kind: np.mean([tasks.paired_t(gap, np.zeros(k), kind).p < 0.05 for gap in gaps]) for kind in (True, False)}
    assert found[True] == pytest.approx(0.05, abs=0.015) and found[False] > 0.1


def test_mcnemar_is_that_of_statsmodels_and_its_one_sided_forms():
    from statsmodels.stats.contingency_tables import mcnemar

    a = np.repeat([True, True, False, False], [50, 14, 5, 31])
    b = np.repeat([True, False, True, False], [50, 14, 5, 31])
    two = tasks.mcnemar(a, b)
    assert two.p == pytest.approx(mcnemar([[50, 14], [5, 31]], exact=True).pvalue)
    assert two.value == pytest.approx(0.09) and "only a right 14, only b right 5" in two.note
    assert tasks.mcnemar(a, b, alternative="greater").p == pytest.approx(stats.binom.sf(13, 19, 0.5))
    assert tasks.mcnemar(a, b, alternative="less").p == pytest.approx(stats.binom.cdf(14, 19, 0.5))
    assert tasks.mcnemar(a, a).p == 1


def test_mcnemar_by_group_by_hand():
    """Five patients of 20 frames, a better in each: every sign pattern of 2^5 is less extreme, whatever the frames."""
    a, b = np.ones(100, bool), np.zeros(100, bool)
    groups = np.repeat(np.arange(5), 20)
    assert tasks.mcnemar(a, b, groups, "greater").p == pytest.approx(1 / 32)
    assert tasks.mcnemar(a, b, groups).p == pytest.approx(2 / 32)
    assert tasks.mcnemar(a, b, alternative="greater").p < 1e-20
    assert tasks.mcnemar(a, b, groups).n == 5


@pytest.mark.slow
def test_mcnemar_by_group_keeps_its_level_where_frames_are_alike():
    def p(seed, by_group):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(12), 20)
        a, b = (rng.random(240) < np.repeat(rng.beta(1, 1, 12), 20) for _ in range(2))
        return tasks.mcnemar(a, b, groups if by_group else None).p

    found = [np.mean([p(seed, by_group) < 0.05 for seed in range(100)]) for by_group in (True, False)]
    assert found[0] <= 0.1 < 0.3 < found[1]


def test_wilcoxon_of_five_pairs():
    a, b = np.array([0.81, 0.84, 0.79, 0.86, 0.83]), np.array([0.78, 0.80, 0.785, 0.82, 0.78])
    found = tasks.wilcoxon(a, b)
    assert found.p == 0.0625 and tasks.wilcoxon(a, a).p == 1
    assert str(found) == "difference, Wilcoxon signed-rank test 0.033, p = 0.0625, n = 5 (over pairs)"


@pytest.mark.parametrize("call, message", [
    (lambda: tasks.paired_t([1, 2], [1, 2, 3]), "no pairs"), (lambda: tasks.paired_t([1.0], [2.0]), "at least 2 folds"),
    (lambda: tasks.paired_t([1, np.nan], [1, 2]), "not finite"),
    (lambda: tasks.paired_t([1, 2], [2, 1], test_share=5), "test_share is 5"),
    (lambda: tasks.mcnemar([1, 0], [0, 1]), "True for a correct image"),
    (lambda: tasks.mcnemar([True], [True, False]), "cannot be paired"),
    (lambda: tasks.mcnemar([True], [True], alternative="better"), "'two-sided', 'greater' or 'less'"),
])
def test_statistics_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
