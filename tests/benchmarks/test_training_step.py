import json

import pytest

from training_step import main


def test_both_kinds_of_steps_are_timed_in_turns(tmp_path, monkeypatch, capsys):
    out = tmp_path / "results.jsonl"
    options = "--backbones cnn3 --side 32 --batch-size 2 --steps 1 --rounds 2 --precision fp32"
    monkeypatch.setattr("sys.argv", ["training_step.py", *options.split(), "--out", str(out)])
    main()
    line = json.loads(out.read_text())
    assert line["claim"] == "training_step_cnn3"
    detail = line["detail"]
    assert len(detail["seconds"]["torch"]) == len(detail["seconds"]["foveal"]) == 2
    assert 0 < detail["foveal_share_of_peak"] < 1
    # 3 x 3 kernels over 3, 32 and 64 channels at 32, 16 and 8 pixels, and their gradients.
    forward = 2 * 2 * 9 * (3 * 32 * 32**2 + 32 * 64 * 16**2 + 64 * 128 * 8**2)
    assert detail["gflop_a_step"] == pytest.approx(3 * forward / 1e9, rel=0.02)


def test_a_step_with_fixed_statistics_and_frozen_stages_is_timed(tmp_path, monkeypatch, capsys):
    out = tmp_path / "results.jsonl"
    options = "--backbones fovea --side 32 --batch-size 2 --steps 1 --rounds 1 --precision fp32"
    options += f" --keep-statistics --frozen-stages 1 --out {out}"
    monkeypatch.setattr("sys.argv", ["training_step.py", *options.split()])
    main()
    detail = json.loads(out.read_text())["detail"]
    assert (detail["keep_statistics"], detail["frozen_stages"]) == (True, 1)
    assert detail["folded"] > 0
