import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import foveal
from foveal.cli.main import run
from foveal.metrics import Interval
from foveal.tasks import get_task
from foveal.types import NEVER_SURE, Calibration

METRICS = {"accuracy": {"value": 0.98, "low": 0.95, "high": 0.99}}
SHOWN = {name: Interval.from_json(value) for name, value in METRICS.items()}


class Calls:
    """Stands for the public functions and keeps what they were called with."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.calibration = Calibration()
        self.baseline: dict[str, Any] = {}

    def recorder(self, name: str) -> Any:
        def record(*args: Any, **kwargs: Any) -> Any:
            kwargs.pop("progress")
            self.made.append((name, args, {k: v for k, v in kwargs.items() if v is not None}))
            task = get_task("classify")
            manifest = SimpleNamespace(
                calibration=self.calibration, baseline=self.baseline, folds=None
            )
            path = Path("runs/classify/photos/bundle")
            bundle = SimpleNamespace(path=path, task=task, manifest=manifest)
            return SimpleNamespace(run=Path("runs/classify/photos"), bundle=bundle, metrics=SHOWN)

        return record


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    for name in ("train", "resume", "extend"):
        monkeypatch.setattr(foveal, name, made.recorder(name))
    return made


def test_without_options_everything_is_left_to_the_data(calls: Calls) -> None:
    assert run(["train", "photos"]) == 0
    assert calls.made == [("train", ("photos",), {})]


def test_every_knob_reaches_the_public_function(calls: Calls) -> None:
    line = (
        "train photos --task read --epochs 5 --batch-size 16 --image-size 96 "
        "--backbone cnn3 --lr 0.01 --patience 3 --budget 10m --seed 4 --device cpu --devices 2 "
        "--strategy full --allow-download --label-regex (.+)_ "
        "--name first --out elsewhere --recipe r.yaml --set train.ema=0.99 --set data.layout=table"
    )
    assert run(line.split()) == 0
    assert calls.made[0][2] == {
        "task": "read",
        "epochs": 5,
        "batch_size": 16,
        "image_size": 96,
        "backbone": "cnn3",
        "lr": 0.01,
        "patience": 3,
        "budget_s": 600.0,
        "seed": 4,
        "device": "cpu",
        "devices": 2,
        "strategy": "full",
        "allow_download": True,
        "label_regex": "(.+)_",
        "name": "first",
        "out": "elsewhere",
        "recipe": Path("r.yaml"),
        "overrides": ["train.ema=0.99", "data.layout=table"],
    }


def test_the_names_that_other_tools_use_are_accepted(calls: Calls) -> None:
    assert run("train photos --batch 8 --imgsz 64".split()) == 0
    assert calls.made[0][2] == {"batch_size": 8, "image_size": 64}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2m5s", 125)],
)
def test_a_budget_is_read_in_hours_minutes_and_seconds(
    text: str, seconds: float, calls: Calls
) -> None:
    assert run(["train", "photos", "--budget", text]) == 0
    assert calls.made[0][2]["budget_s"] == seconds


@pytest.mark.parametrize("text", ["soon", "", "0", "10x", "-5m"])
def test_a_budget_that_is_no_duration_is_refused(
    text: str, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "photos", f"--budget={text}"]) == 2
    assert "Invalid duration" in capsys.readouterr().err
    assert calls.made == []


def test_resume_goes_on_with_a_run(calls: Calls) -> None:
    assert run(["train", "--resume", "runs/classify/photos"]) == 0
    assert calls.made == [("resume", ("runs/classify/photos",), {})]


def test_resume_is_told_where_the_pictures_are_by_now(calls: Calls) -> None:
    assert run(["train", "moved", "--resume", "runs/classify/photos"]) == 0
    assert calls.made == [("resume", ("runs/classify/photos",), {"data": "moved"})]


def test_finish_makes_the_model_of_an_interrupted_run(calls: Calls) -> None:
    assert run(["train", "--finish", "runs/classify/photos"]) == 0
    assert calls.made == [("resume", ("runs/classify/photos",), {"finish": True})]


@pytest.mark.parametrize("line", ["photos", "--resume run", "--continue run --epochs +5"])
def test_what_an_interrupt_does_is_chosen_beforehand(line: str, calls: Calls) -> None:
    assert run(["train", *line.split(), "--finish-on-interrupt"]) == 0
    assert calls.made[0][2] == {"finish_on_interrupt": True}


@pytest.mark.parametrize("epochs", ["+5", "5"])
def test_continue_adds_epochs_to_a_run(epochs: str, calls: Calls) -> None:
    assert run(["train", "--continue", "runs/classify/photos", "--epochs", epochs]) == 0
    assert calls.made == [("extend", ("runs/classify/photos", 5), {})]


@pytest.mark.parametrize("option", ["--resume", "--finish", "--continue"])
def test_a_run_goes_on_with_pictures_that_were_moved(option: str, calls: Calls) -> None:
    more = ["--epochs", "+5"] if option == "--continue" else []
    assert run(["train", "moved/photos", option, "run", *more]) == 0
    assert calls.made[0][2]["data"] == "moved/photos"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train", "DATA is missing"),
        ("train photos --epochs +5", "needs --continue"),
        ("train photos --epochs five", "Expected a whole number"),
        ("train --resume run --lr 0.1 --budget 1m", "--lr, --budget cannot be given"),
        ("train --resume run --set seed=1", "--set cannot be given"),
        ("train --resume run --name new --task read", "--name, --task cannot be given"),
        ("train --continue run --epochs 5 --out elsewhere", "--out cannot be given"),
        ("train --continue run", "number of epochs to add"),
        ("train --continue run --epochs +5 --batch 8", "--batch-size cannot be given"),
        ("train --continue run --resume run --epochs 5", "cannot be used together"),
        ("train --resume run --finish run", "cannot be used together"),
        ("train --finish run --epochs 5", "--epochs cannot be given"),
    ],
)
def test_what_would_be_silently_ignored_is_refused(
    line: str, message: str, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 2
    assert message in capsys.readouterr().err
    assert calls.made == []


def test_the_hint_goes_on_with_the_run_that_was_named(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--resume", "my run", "--quality", "best"]) == 2
    assert "hint: foveal train --resume 'my run'\n" in capsys.readouterr().err
    assert run(["train", "--continue", "plates", "--epochs", "+5", "--folds", "3"]) == 2
    assert "hint: foveal train --continue plates --epochs +5\n" in capsys.readouterr().err
    assert calls.made == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--epochs 0", "'train.epochs' (--epochs). Expected a whole number >= 1. Received: 0."),
        ("--lr -1", "'train.lr' (--lr). Expected a number > 0. Received: -1.0."),
        ("--image-size 4", "'pipeline.image_size' (--image-size). Expected a whole number >= 8"),
        ("--strategy half", "'train.strategy' (--strategy). Expected one of auto, frozen"),
        ("--lr 0.1 --set train.lr=0.2", "'train.lr' (--lr) is given twice"),
        ("--set train.epoch=2", "Did you mean 'train.epochs'"),
    ],
)
def test_values_are_checked_by_the_recipe_before_the_data_is_looked_for(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "no-such-folder", *line.split()]) == 2
    assert message in capsys.readouterr().err


def test_json_ends_with_one_object(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "photos", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value.pop("seconds") >= 0
    assert value == {
        "schema_version": 1,
        "run": "runs/classify/photos",
        "bundle": str(Path("runs/classify/photos/bundle")),
        "metrics": METRICS,
        "usable": True,
        "promise": "",
    }


def test_what_is_promised_and_the_baseline_are_said_at_the_end(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    calls.calibration = Calibration(
        shown_accuracy=0.92, stated_accuracy=1.0, coverage=1.0, wanted_accuracy=0.99, pictures=48
    )
    calls.baseline = {"answer": "cat", "metrics": {"accuracy": 0.5}, "is_beaten": True}
    assert run(["train", "photos"]) == 0
    shown = capsys.readouterr()
    assert "baseline" in shown.out.splitlines()[0]
    assert "50.0 %" in shown.out
    said = " ".join(shown.err.split())
    assert "“cat”: the model is better." in said
    assert "At least 92 % of the answers that are not unsure are right" in said
    assert "even with no mistake, this takes 299 validation pictures" in said


def test_a_model_that_is_not_usable_yet_is_called_so(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    calls.calibration = Calibration(unsure_below=NEVER_SURE, not_usable="It guesses.")
    assert run(["train", "photos"]) == 0
    assert "Not usable yet: every answer is marked unsure. It guesses." in capsys.readouterr().err


def test_people_get_the_metrics_and_what_to_do_next(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "photos"]) == 0
    streams = capsys.readouterr()
    assert streams.out.splitlines() == [
        "metric     value  95 % interval   meaning",
        "accuracy  98.0 %  95.0 to 99.0 %  pictures answered completely right",
    ]
    assert "foveal serve" in streams.err


def test_quiet_says_nothing_but_the_result(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "photos", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_training_shows_what_was_chosen_and_quiet_only_warnings(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("foveal.workflow.train")
    for argv in (["train", "photos"], ["train", "photos", "--quiet"]):
        assert run(argv) == 0
        logger.info("chosen %s: %s", "model.backbone", "it is ink")
        logger.warning("2 pictures cannot be read")
    said = capsys.readouterr().err.splitlines()
    assert said.count("chosen model.backbone: it is ink") == 1
    assert said.count("warning: 2 pictures cannot be read") == 2


@pytest.mark.parametrize("target", ["ray:local", "ray:auto"])
def test_ray_that_this_process_joins_is_handed_to_the_public_function(
    calls: Calls, target: str
) -> None:
    assert run(["train", "photos", "--on", target, "--workers", "2"]) == 0
    assert calls.made[0][2] == {"on": target, "workers": 2}


def test_a_run_goes_on_in_ray(calls: Calls) -> None:
    assert run(["train", "--resume", "runs/a", "--on", "ray:auto", "--workers", "3"]) == 0
    assert calls.made[0][2] == {"on": "ray:auto", "workers": 3}


def test_what_ends_with_the_command_cannot_be_left_alone(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "photos", "--on", "ray:local", "--detach"]) == 2
    assert "ends with this command" in capsys.readouterr().err
    assert not calls.made
