"""The fitted head: what minimises the penalised loss, and the strength that answers best."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from foveal.train.logistic import Rows, fit_regression

COUNT, SIZE, CLASSES = 90, 6, 3


def drawn(seed=0, classes=CLASSES):
    """Return standard normal features, and labels that depend on them and on chance."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((COUNT, SIZE))
    logits = features @ rng.standard_normal((SIZE, classes)) + rng.gumbel(size=(COUNT, classes))
    return features.astype(np.float32), logits.argmax(axis=1)


def rows_of(features, labels, *, weights=None, fold=None, **others):
    one_hot = labels if labels.ndim == 2 else np.eye(CLASSES)[labels]
    return Rows(
        torch.from_numpy(features),
        torch.from_numpy(one_hot.astype(np.float32)),
        torch.ones(len(features)) if weights is None else torch.from_numpy(weights),
        torch.zeros(len(features), dtype=torch.int64) if fold is None else torch.from_numpy(fold),
        **others,
    )


def test_the_fit_is_that_of_scikit_learn():
    features, labels = drawn()
    fitted = fit_regression(rows_of(features, labels), (0.1,))
    # scikit-learn adds the losses of n rows and penalises by 1 / (2 C).
    theirs = LogisticRegression(C=1 / (0.1 * COUNT), tol=1e-10).fit(features, labels)
    assert fitted.weight.numpy() == pytest.approx(theirs.coef_, abs=5e-4)
    centred = fitted.bias - fitted.bias.mean()
    assert centred.numpy() == pytest.approx(theirs.intercept_ - theirs.intercept_.mean(), abs=5e-4)


def test_several_labels_are_one_regression_for_each():
    features, first = drawn()
    _, second = drawn(1)
    several = np.stack([first == 0, second == 1, first == 2], axis=1)
    fitted = fit_regression(rows_of(features, several, several=True), (0.1,))
    for number in range(CLASSES):
        # The loss is the mean over the labels, so each has a third of it against its penalty.
        theirs = LogisticRegression(C=1 / (0.1 * COUNT * CLASSES), tol=1e-10)
        theirs.fit(features, several[:, number])
        assert fitted.weight[number].numpy() == pytest.approx(theirs.coef_[0], abs=5e-4)
        assert float(fitted.bias[number]) == pytest.approx(theirs.intercept_[0], abs=5e-4)


def test_a_weight_of_two_is_a_row_that_is_there_twice():
    features, labels = drawn()
    weights = np.ones(COUNT, np.float32)
    weights[:20] = 2
    weighted = fit_regression(rows_of(features, labels, weights=weights), (0.1,))
    doubled = rows_of(
        np.concatenate([features, features[:20]]), np.concatenate([labels, labels[:20]])
    )
    assert torch.allclose(weighted.weight, fit_regression(doubled, (0.1,)).weight, atol=5e-4)


def test_the_weight_of_a_label_is_that_of_its_rows():
    features, labels = drawn()
    factors = np.array([1, 3, 0.5], np.float32)
    by_row = fit_regression(rows_of(features, labels, weights=factors[labels]), (0.1,))
    # The mean is over the rows whatever their labels weigh: that scales the loss, not its shape.
    scale = float(factors[labels].mean())
    by_label = fit_regression(
        rows_of(features, labels, label_weights=torch.from_numpy(factors)), (0.1 * scale,)
    )
    assert torch.allclose(by_label.weight, by_row.weight, atol=5e-4)


def test_the_strength_is_the_best_in_cross_validation():
    features, labels = drawn()
    fold = np.arange(COUNT) % 5
    strengths = (3.0, 0.3, 0.03, 0.003)
    losses = []
    for strength in strengths:
        total = 0.0
        for left_out in range(5):
            inside = fold == left_out
            fitted = fit_regression(rows_of(features[~inside], labels[~inside]), (strength,))
            logits = torch.from_numpy(features[inside]) @ fitted.weight.T + fitted.bias
            chances = logits.log_softmax(dim=1).numpy()
            total -= chances[np.arange(len(chances)), labels[inside]].sum()
        losses.append(total / COUNT)
    chosen = fit_regression(rows_of(features, labels, fold=fold), strengths)
    assert chosen.strength == strengths[int(np.argmin(losses))]
    assert chosen.loss == pytest.approx(min(losses), abs=1e-4)
    # All rows are fitted, not only those of some folds.
    alone = fit_regression(rows_of(features, labels), (chosen.strength,))
    assert torch.allclose(chosen.weight, alone.weight, atol=1e-3)


def test_weaker_penalties_are_left_out_once_two_were_worse():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((COUNT, SIZE)).astype(np.float32)
    labels = rng.integers(0, CLASSES, COUNT)
    rows = rows_of(features, labels, fold=np.arange(COUNT) % 5)
    # The labels are chance, so the strongest penalty is the best, and the last
    # one, whose fit would be one of nothing, is never tried.
    assert fit_regression(rows, (30.0, 0.1, 0.01, math.nan)).strength == 30.0


def test_early_columns_that_are_noise_are_penalised_more():
    features, labels = drawn()
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((COUNT, 200)).astype(np.float32)
    fold = np.arange(COUNT) % 5
    both = np.concatenate([noise, features], axis=1)
    alike = fit_regression(rows_of(both, labels, fold=fold))
    apart = fit_regression(rows_of(both, labels, fold=fold, early=200))
    assert alike.early == 1.0
    assert apart.early == 0.3
    assert apart.loss < alike.loss
    # The same as the one penalty on columns that were scaled before.
    scaled = np.concatenate([0.3 * noise, features], axis=1)
    alone = fit_regression(rows_of(scaled, labels), (apart.strength,))
    assert torch.allclose(apart.weight[:, 200:], alone.weight[:, 200:], atol=1e-3)
    assert torch.allclose(apart.weight[:, :200], 0.3 * alone.weight[:, :200], atol=1e-3)


def test_early_columns_that_tell_are_kept():
    features, labels = drawn()
    noise = np.random.default_rng(1).standard_normal((COUNT, 200)).astype(np.float32)
    both = np.concatenate([features, noise], axis=1)
    rows = rows_of(both, labels, fold=np.arange(COUNT) % 5, early=SIZE)
    assert fit_regression(rows).early == 1.0


def test_the_same_rows_give_the_same_weights():
    features, labels = drawn()
    rows = rows_of(features, labels, fold=np.arange(COUNT) % 5)
    one, other = fit_regression(rows), fit_regression(rows)
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)


def test_a_fold_beside_which_no_row_counts_teaches_nothing():
    features, labels = drawn()
    fold = (np.arange(COUNT) % 2).astype(np.int64)
    weights = (fold == 0).astype(np.float32)
    fitted = fit_regression(rows_of(features, labels, weights=weights, fold=fold))
    # Without a model, each of three labels is as likely as another.
    assert fitted.loss == pytest.approx(math.log(CLASSES))
    assert bool(torch.isfinite(fitted.weight).all())


def test_features_that_are_not_finite_are_refused():
    features, labels = drawn()
    features[3, 2] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        fit_regression(rows_of(features, labels), (0.1,))
