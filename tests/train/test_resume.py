import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fitting import CPU, TinyTraining, accuracy, tiny_loader, tiny_network, weights_of

from foveal.errors import FovealError
from foveal.recipe import TrainOptions
from foveal.train.checkpoint import Checkpoint, CheckpointStore
from foveal.train.records import FitResult, Stage, Validated
from foveal.train.trainer import Trainer

HERE = Path(__file__).parent


@pytest.mark.slow
def test_runs_killed_at_random_instants_end_with_the_same_bits_as_a_whole_run(tmp_path):
    source = HERE.parents[1] / "src"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{source}:{HERE}"}
    subprocess.run(
        [sys.executable, HERE / "kill_and_resume.py", tmp_path], env=environment, check=True
    )
    kills = json.loads((tmp_path / "kills.json").read_text())
    answers = {p.parent.name: json.loads(p.read_text()) for p in tmp_path.glob("*/answer.json")}
    assert len(answers) == 8
    assert sum(kills.values()) >= 10
    for name, answer in answers.items():
        assert answer == answers[f"{name.split('-')[0]}-whole"]
    assert answers["adamw-whole"]["steps"] == 40
    assert answers["adamw-whole"]["left"] == []


def fit(
    directory: Path, stages: list[Stage], *, resume: bool = True, seed: int = 0
) -> tuple[FitResult, torch.nn.Module]:
    model = tiny_network(seed)
    trainer = Trainer(TrainOptions(), device=CPU, checkpoints=CheckpointStore(directory))
    result = trainer.fit(
        model, TinyTraining(None), stages, accuracy, metric="accuracy", resume=resume
    )
    return result, model


def test_resuming_a_finished_run_gives_its_result_again(tmp_path):
    first, trained = fit(tmp_path, [Stage("full", tiny_loader(), 2, 0.01)])
    again, model = fit(tmp_path, [Stage("full", tiny_loader(), 2, 0.01)], seed=5)
    assert again.history == first.history
    assert again.steps == first.steps == 16
    assert all((weights_of(model)[n] == w).all() for n, w in weights_of(trained).items())


def test_a_further_stage_extends_a_finished_run_from_its_final_weights(tmp_path):
    loader = tiny_loader()
    fit(tmp_path, [Stage("full", loader, 2, 0.01)])
    final = CheckpointStore(tmp_path).load().tensors["model"]
    stages = [Stage("full", loader, 2, 0.01), Stage("more", loader, 3, 1e-12)]
    result, _ = fit(tmp_path, stages)
    assert [r.stage for r in result.history] == ["full", "full", "more", "more", "more"]
    assert [r.epoch for r in result.history] == [1, 2, 3, 4, 5]
    after = CheckpointStore(tmp_path).load().tensors["model"]
    # With a learning rate of almost nothing the weights stay where the first stage left them.
    assert torch.allclose(after["backbone.0.weight"], final["backbone.0.weight"], atol=1e-8)


def test_without_resume_a_run_starts_anew(tmp_path):
    fit(tmp_path, [Stage("full", tiny_loader(), 1, 0.01)])
    result, _ = fit(tmp_path, [Stage("full", tiny_loader(), 1, 0.01)], resume=False)
    assert [r.epoch for r in result.history] == [1]
    assert result.steps == 8


def test_resuming_with_other_batches_is_refused(tmp_path):
    class Interrupted(Exception):
        pass

    calls = []

    def validate(model):
        calls.append(model)
        if len(calls) == 2:
            raise Interrupted
        return accuracy(model)

    store = CheckpointStore(tmp_path, largest_share=float("inf"))
    trainer = Trainer(TrainOptions(), device=CPU, checkpoints=store)
    stages = [Stage("full", tiny_loader(), 3, 0.01)]
    with pytest.raises(Interrupted):
        trainer.fit(tiny_network(), TinyTraining(None), stages, validate, metric="accuracy")
    with pytest.raises(FovealError, match="had 8 batches and has 4 now"):
        fit(tmp_path, [Stage("full", tiny_loader(batch_size=16), 3, 0.01)])


def checkpoint(value: float) -> Checkpoint:
    return Checkpoint({"value": value}, {"weights": torch.full((3,), value), "none": None})


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    store = CheckpointStore(tmp_path / "new")
    assert store.load() is None
    store.save(checkpoint(0.1))
    loaded = CheckpointStore(tmp_path / "new").load()
    assert loaded.state == {"value": 0.1}
    assert torch.equal(loaded.tensors["weights"], torch.full((3,), 0.1))


def test_two_checkpoints_are_kept(tmp_path):
    store = CheckpointStore(tmp_path)
    for value in range(5):
        store.save(checkpoint(value))
    assert store.names() == ["checkpoint-00000004", "checkpoint-00000005"]


@pytest.mark.parametrize("name", ["state.json", "tensors.pt", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, caplog, name, damage):
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(1.0))
    path = store.save(checkpoint(2.0)) / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert store.load().state == {"value": 1.0}
    assert "checkpoint-00000002 is damaged" in caplog.text


def test_when_all_checkpoints_are_damaged_that_is_an_error(tmp_path):
    store = CheckpointStore(tmp_path)
    (store.save(checkpoint(1.0)) / "tensors.pt").unlink()
    with pytest.raises(FovealError, match=r"every checkpoint .* is damaged"):
        store.load()


def test_what_a_killed_writer_left_is_swept(tmp_path):
    CheckpointStore(tmp_path).save(checkpoint(1.0))
    half = tmp_path / ".tmp-checkpoint-00000002-4711"
    half.mkdir()
    (half / "tensors.pt").write_bytes(b"half")
    store = CheckpointStore(tmp_path)
    assert not half.exists()
    assert store.load().state == {"value": 1.0}


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    store = CheckpointStore(tmp_path)
    store.save(Checkpoint({}, {"weights": Evil()}))
    with pytest.raises(FovealError, match="damaged"):
        store.load()
    assert not (tmp_path / "owned").exists()


def test_a_run_killed_when_its_patience_had_just_ended_trains_no_further(tmp_path):
    class Killed(BaseException):
        pass

    class KilledAfterThreeEpochs:
        def fit_started(self, model, stages, history): ...

        def step_done(self, step):
            if step.epoch == 4:
                raise Killed

        def epoch_done(self, record): ...

        def fit_ended(self, result): ...

    def never_better(model):
        return Validated({"accuracy": 0.5})

    def run(patience):
        store = CheckpointStore(tmp_path, largest_share=float("inf"))
        trainer = Trainer(
            TrainOptions(patience=patience),
            device=CPU,
            checkpoints=store,
            callbacks=[KilledAfterThreeEpochs()],
        )
        stages = [Stage("full", tiny_loader(), 5, 0.01)]
        return trainer.fit(
            tiny_network(), TinyTraining(None), stages, never_better, metric="accuracy", resume=True
        )

    # The checkpoint after the third epoch has two epochs without improvement.
    with pytest.raises(Killed):
        run(patience=None)
    result = run(patience=2)
    assert result.stopped == "patience"
    assert len(result.history) == 3
