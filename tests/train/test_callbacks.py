import csv

import pytest
import torch
from fitting import CPU, FakeClock, TinyTraining, accuracy, tiny_loader, tiny_network

from foveal.recipe import TrainOptions
from foveal.train.callbacks import ProgressReport, ResultsCsv, format_seconds, results_table
from foveal.train.checkpoint import CheckpointStore
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord
from foveal.train.trainer import Trainer


def record(epoch, stage="full", losses=None, is_best=False):
    return EpochRecord(
        stage,
        epoch,
        8 * epoch,
        0.01,
        losses or {"loss": 0.5},
        {"accuracy": 0.75},
        2.0,
        32.0,
        is_best,
    )


def test_the_table_has_a_row_an_epoch_and_the_columns_of_all_stages():
    rows = [record(1, "head"), record(2, losses={"loss": 0.25, "extra": 1.0}, is_best=True)]
    assert results_table(rows) == (
        "epoch,stage,step,lr,seconds,pictures_per_s,train_loss,val_accuracy,train_extra,best\n"
        "1,head,8,0.01,2.000,32.0,0.5,0.75,,0\n"
        "2,full,16,0.01,2.000,32.0,0.25,0.75,1,1\n"
    )


def test_results_hold_each_epoch_once_after_a_resume(tmp_path):
    path = tmp_path / "results.csv"
    for epochs in (2, 2):
        trainer = Trainer(
            TrainOptions(),
            device=CPU,
            callbacks=[ResultsCsv(path)],
            checkpoints=CheckpointStore(tmp_path / "checkpoints"),
        )
        stages = [Stage("full", tiny_loader(), epochs, 0.01)]
        if path.exists():
            stages.append(Stage("more", tiny_loader(), 1, 0.01))
        trainer.fit(
            tiny_network(), TinyTraining(None), stages, accuracy, metric="accuracy", resume=True
        )
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["stage"]) for row in rows] == [
        ("1", "full"),
        ("2", "full"),
        ("3", "more"),
    ]
    assert not list(tmp_path.glob(".tmp*"))


class Recorder:
    """A `Progress` that notes its calls."""

    def __init__(self):
        self.calls = []

    def start(self, title, total):
        self.calls.append(("start", title, total))

    def update(self, done, fields=None):
        self.calls.append(("update", done, fields))

    def finish(self):
        self.calls.append(("finish",))


def step(number, stage="full"):
    return StepRecord(
        stage=stage,
        epoch=1,
        step=number,
        progress=number / 10,
        loss=torch.tensor(0.5),
        lr=0.01,
        samples=16,
        inputs=torch.zeros(16, 3, 4, 4),
        elapsed_s=1.0,
        left_s=61.4,
    )


def test_progress_shows_loss_metric_rate_and_time_left_a_few_times_a_second():
    recorder, clock = Recorder(), FakeClock()
    report = ProgressReport(recorder, "accuracy", clock=clock)
    report.fit_started(tiny_network(), [], [record(1)])
    report.step_done(step(1))
    clock.now_s += 0.1
    report.step_done(step(2))
    clock.now_s += 0.4
    report.step_done(step(3))
    report.fit_ended(FitResult((), 0, {}, "finished", 3, 1.0))
    shown = {"epoch": "1", "loss": "0.500", "accuracy": "0.750", "rate": "96/s", "left": "1:01"}
    assert recorder.calls[:2] == [("start", "train (full)", 1000), ("update", 300, shown)]


def test_each_stage_has_its_own_bar_which_ends_where_its_last_step_was():
    recorder, clock = Recorder(), FakeClock()
    report = ProgressReport(recorder, "accuracy", clock=clock)
    report.step_done(step(1, "head"))
    report.step_done(step(2, "full"))
    report.step_done(step(10, "full"))
    report.fit_ended(FitResult((), 0, {}, "finished", 2, 1.0))
    names = [call[:2] for call in recorder.calls]
    assert names == [
        ("start", "train (head)"),
        ("update", 100),
        ("finish",),
        ("start", "train (full)"),
        ("update", 1000),
        ("finish",),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3723, "1:02:03"), (-1, "0:00")],
)
def test_seconds_are_written_as_a_clock_has_them(seconds, text):
    assert format_seconds(seconds) == text


def test_tensorboard_gets_curves_pictures_graph_and_settings(tmp_path):
    # Imported here: the packages that tensorboard loads are not needed by the other tests.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from foveal.train.tensorboard import TensorBoard

    writer = TensorBoard(tmp_path, settings={"train.lr": 0.01, "model.backbone": "tiny"})
    trainer = Trainer(TrainOptions(), device=CPU, callbacks=[writer])
    stages = [Stage("full", tiny_loader(), 2, 0.01)]
    trainer.fit(tiny_network(), TinyTraining(None), stages, accuracy, metric="accuracy")
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()
    assert {"train/loss", "val/accuracy", "step/loss", "step/lr", "best/accuracy"} <= set(
        tags["scalars"]
    )
    assert [e.step for e in events.Scalars("val/accuracy")] == [8, 16]
    assert any(tag.startswith("train/first_batch") for tag in tags["images"])
    assert tags["graph"]
    assert "_hparams_/session_start_info" in events.summary_metadata
