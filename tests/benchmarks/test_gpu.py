import csv

import pytest

from foveal_command import Finished
from gpu import Case, outcome, seconds_to

CASE = Case("letters", "data", (), 40, "val_accuracy", 0.9)
ROWS = (
    {"seconds": "5", "pictures_per_s": "10", "val_accuracy": "0.2"},
    {"seconds": "2", "pictures_per_s": "100", "val_accuracy": "0.9"},
    {"seconds": "2", "pictures_per_s": "104", "val_accuracy": "0.8"},
)


def test_the_first_epoch_which_warms_up_is_not_of_the_rate(tmp_path):
    with (tmp_path / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    line = outcome(CASE, "default", tmp_path, Finished({}, 60.0), "cpu").to_json()
    assert line["values"] == [100.0, 104.0]
    assert line["detail"]["first_epoch"] == 10.0
    assert line["detail"]["best"] == 0.9


@pytest.mark.parametrize(("wanted", "seconds"), [(0.2, 5.0), (0.9, 7.0), (0.95, None)])
def test_time_to_learn_counts_the_epochs_until_the_metric_is_reached(wanted, seconds):
    case = Case("letters", "data", (), 40, "val_accuracy", wanted)
    assert seconds_to(ROWS, case) == seconds
