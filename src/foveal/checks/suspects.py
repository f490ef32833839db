"""Checks for wrong labels and for pictures that belong to no class."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.checks.answering import is_single
from foveal.checks.base import CheckInput, OutOfFold, check
from foveal.checks.neighbours import nearest, outlyingness
from foveal.checks.noise import fit_noise
from foveal.data.findings import SHOWN, plural
from foveal.types import SPLIT_NAMES, Finding, Suspect

# A label is a suspect when it is more likely wrong than right.
_SUSPECT = 0.5
# Of a class of fewer pictures too little is known to doubt any.
_FEWEST_OF_CLASS = 5
# Pictures of the suggested class beside a suspect.
_LIKE = 3
_LEAST = 1e-9
# Standard errors by which the scores of given labels are above those of the same labels elsewhere:
# by chance, one set in 40 reaches it.
_LEAST_DEPENDENCE = 2.0
_HINT = "foveal review {}shows them; foveal clean --auto handles the surest"
_HELD_OUT = (
    "Some are validation or test pictures: change their labels only after looking yourself, since "
    "a score on labels that a model corrected means nothing"
)


@check("labels.suspect", tasks=("classify",))
def suspect_labels(given: CheckInput) -> Iterator[Finding]:
    """Labels that are more likely wrong than right, with the class that the picture looks like.

    Found with `foveal check --features` or `--predictions RUN`: models that were not trained on a
    picture answer it, and a noise model of the labels is fitted to the answers (confident
    learning).
    """
    answers = given.out_of_fold
    if answers is None:
        return
    known = _answered(answers)
    if not _tell_labels(given, answers, known):
        return
    raws = [given.samples[i].raw for i in known.tolist()]
    doubts = (_doubt_class if is_single(raws) else _doubt_each)(given, answers, known)
    order = np.argsort(-doubts.wrong, kind="stable")
    doubted = order[doubts.wrong[order] >= _SUSPECT]
    if not len(doubted):
        return
    likes = _likes(given, known, doubts, doubted)
    suspects = tuple(
        Suspect(given.samples[known[i]].id, float(doubts.wrong[i]), doubts.labels[i], like)
        for i, like in zip(doubted.tolist(), likes, strict=True)
    )
    first = suspects[0]
    raw = "|".join(given.samples[known[doubted[0]]].raw or ())
    held_out = {SPLIT_NAMES[side] for side in given.split[known[doubted]].tolist() if side > 0}
    yield Finding(
        id="labels.suspect",
        severity="warning",
        message=(
            f"{plural(len(suspects), 'label')} of {len(known):,} likely wrong: for example "
            f"{first.sample} is labelled {raw!r} and looks like {first.label!r}."
        ),
        samples=tuple(suspect.sample for suspect in suspects[:SHOWN]),
        count=len(suspects),
        hint=_HINT.format("DATA ") + (f". {_HELD_OUT}" if held_out else ""),
        method=(
            f"confident learning on answers of {answers.models}: chance of a wrong label at least "
            f"{_SUSPECT}; about {doubts.wrong.sum():,.0f} of all labels are expected to be "
            f"wrong; labels of fewer than {_FEWEST_OF_CLASS} pictures are not judged"
        ),
        suspects=suspects,
    )


@check("labels.unpredictable", tasks=("classify",))
def unpredictable_labels(given: CheckInput) -> Iterator[Finding]:
    """Labels that models agree with no more than by chance, so that none can be called wrong.

    Found with `foveal check --features` or `--predictions RUN`.
    """
    answers = given.out_of_fold
    if answers is None:
        return
    known = _answered(answers)
    if _tell_labels(given, answers, known):
        return
    yield Finding(
        id="labels.unpredictable",
        severity="warning",
        message=(
            "No label is checked: models that were not trained on a picture agree with its label "
            "no more than by chance."
        ),
        count=len(known),
        hint=(
            "look whether the pictures show what their labels say; of a run, use one that is "
            "shown to be better than its baseline"
        ),
        method=(
            f"answers of {answers.models}: the score of the label given is not higher than that "
            f"of the label on other pictures, by {_LEAST_DEPENDENCE:.0f} standard errors"
        ),
    )


@check("images.outlier", tasks=("classify",))
def outliers(given: CheckInput) -> Iterator[Finding]:
    """Pictures far from all others, which may belong to no class.

    Found with `foveal check --features`.
    """
    if given.features is None:
        return
    known = given.usable()
    found = outlyingness(given.features[known], given.scan.digest[known])
    if found is None:
        return
    order = np.argsort(-found.score, kind="stable")
    far = order[found.score[order] >= _SUSPECT]
    if not len(far):
        return
    suspects = tuple(
        Suspect(given.samples[known[i]].id, float(found.score[i])) for i in far.tolist()
    )
    yield Finding(
        id="images.outlier",
        severity="info",
        message=(
            f"{plural(len(suspects), 'picture')} unlike all others, such as {suspects[0].sample}: "
            "they may belong to no class."
        ),
        samples=tuple(suspect.sample for suspect in suspects[:SHOWN]),
        count=len(suspects),
        hint="foveal review DATA shows them",
        method=(
            "distance to the nearest pictures in features of a pretrained network: so far that at "
            f"most {1 - _SUSPECT:.0%} of those at such a distance are expected by chance"
        ),
        suspects=suspects,
    )


def _answered(answers: OutOfFold) -> NDArray[np.intp]:
    """Return the positions of the samples that were answered."""
    return np.flatnonzero(~np.isnan(answers.scores[:, 0]))


def _given_labels(
    given: CheckInput, answers: OutOfFold, known: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return (n, labels): whether each answered sample has each label."""
    number = {name: i for i, name in enumerate(answers.labels)}
    has = np.zeros((len(known), len(number)), np.bool_)
    for row, i in enumerate(known.tolist()):
        has[row, [number[name] for name in given.samples[i].raw or ()]] = True
    return has


def _tell_labels(given: CheckInput, answers: OutOfFold, known: NDArray[np.intp]) -> bool:
    """Return whether scores are higher where their label is given, by more than chance.

    Where they are not, the most likely class is a guess, and every label that differs would be
    called wrong.
    """
    has = _given_labels(given, answers, known)
    scores = answers.scores[known].astype(np.float64)
    more = np.where(has, scores - scores.mean(axis=0), 0).sum(axis=1)
    error = more.std() / math.sqrt(max(1, len(known)))
    return bool(more.mean() > _LEAST_DEPENDENCE * error)


@final
@dataclass(frozen=True)
class _Doubts:
    """Doubts about the labels of the answered samples.

    Attributes:
        wrong: (n,) probability that a label is wrong; 0 if it was not judged.
        labels: Suggested labels.
        target: (n,) position of the class that each picture resembles.
    """

    wrong: NDArray[np.float32]
    labels: list[str]
    target: NDArray[np.int64]


def _doubt_class(given: CheckInput, answers: OutOfFold, known: NDArray[np.int64]) -> _Doubts:
    """Judge the single label of each sample."""
    number = {name: i for i, name in enumerate(answers.labels)}
    labels = np.array([number[(given.samples[i].raw or ("",))[0]] for i in known.tolist()])
    logits = np.log(answers.scores[known] + _LEAST)
    counts = np.bincount(labels, minlength=len(number))
    # Of a class that is hardly known nothing is suggested either.
    logits[:, (counts < _FEWEST_OF_CLASS)] += math.log(_LEAST)
    noise = fit_noise(logits, labels, temperatures=(1.0,))
    wrong = np.where(counts[labels] < _FEWEST_OF_CLASS, 0, noise.wrong).astype(np.float32)
    return _Doubts(wrong, [answers.labels[i] for i in noise.other.tolist()], noise.other)


def _doubt_each(given: CheckInput, answers: OutOfFold, known: NDArray[np.int64]) -> _Doubts:
    """Judge each of several labels separately, whether it is given or missing."""
    several = _given_labels(given, answers, known)
    wrong = np.zeros(several.shape, np.float32)
    for column in range(len(answers.labels)):
        if min(several[:, column].sum(), (~several[:, column]).sum()) < _FEWEST_OF_CLASS:
            continue
        yes = answers.scores[known, column]
        pair = np.log(np.stack([1 - yes, yes], axis=1) + _LEAST)
        labels = several[:, column].astype(np.int64)
        wrong[:, column] = fit_noise(pair, labels, temperatures=(1.0,)).wrong
    right = several ^ (wrong >= _SUSPECT)
    target = np.where(right, answers.scores[known], -1).argmax(axis=1)
    names = [
        "|".join(name for name, is_on in zip(answers.labels, row, strict=True) if is_on)
        for row in right.tolist()
    ]
    return _Doubts(wrong.max(axis=1), names, target)


def _likes(
    given: CheckInput, known: NDArray[np.int64], doubts: _Doubts, doubted: NDArray[np.int64]
) -> list[tuple[str, ...]]:
    """Return the ids of the nearest pictures that carry the suggested class."""
    if given.features is None or given.out_of_fold is None:
        return [()] * len(doubted)
    features = given.features[known]
    sure = doubts.wrong < _SUSPECT
    likes: list[tuple[str, ...]] = [()] * len(doubted)
    targets = doubts.target[doubted]
    carriers: dict[str, list[int]] = {}
    for i in np.flatnonzero(sure).tolist():
        for name in given.samples[known[i]].raw or ():
            carriers.setdefault(name, []).append(i)
    for target in np.unique(targets).tolist():
        there = np.array(carriers.get(given.out_of_fold.labels[target], []), np.int64)
        asked = np.flatnonzero(targets == target)
        near = nearest(features[doubted[asked]], features[there], _LIKE)
        for place, row in zip(asked.tolist(), near.tolist(), strict=True):
            likes[place] = tuple(given.samples[known[there[j]]].id for j in row)
    return likes
