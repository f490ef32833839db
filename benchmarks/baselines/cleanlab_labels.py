"""Judge labels with cleanlab; run by `benchmarks/curation/label_suspects.py`.

Prints the quality of each label (low: suspicious) and the class that it looks like: from the given
out-of-fold probabilities under each of cleanlab's scores, and from its default, which is a logistic
regression in five folds on the features given.
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
from cleanlab.classification import CleanLearning
from cleanlab.rank import get_label_quality_scores

SCORES = ("self_confidence", "normalized_margin")


def main() -> None:
    """Read labels, probabilities and features of each trial; print one JSON line."""
    warnings.filterwarnings("ignore")
    trials = np.load(sys.argv[1])
    answer = []
    for number in range(int(trials["count"])):
        labels, chances = trials[f"labels{number}"], trials[f"chances{number}"]
        row: dict[str, object] = {
            score: get_label_quality_scores(labels, chances, method=score).tolist()
            for score in SCORES
        }
        if f"logistic{number}" in trials:
            found = CleanLearning(seed=0).find_label_issues(trials["features"], labels)
            row["logistic"] = found["label_quality"].tolist()
            row["logistic_label"] = found["predicted_label"].tolist()
        answer.append(row)
    print(json.dumps(answer))


main()
