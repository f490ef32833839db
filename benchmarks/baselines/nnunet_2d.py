"""nnU-Net v2, configuration 2d, trained for some minutes on the processor.

A program of its own, started by ../nnunet.py with the interpreter of an environment that holds
nnunetv2 (Apache-2.0). Fingerprint, plan, preprocessing, network, loss, augmentation, optimiser and
sliding-window inference are nnU-Net's own. Deviations: its schedule of 250,000 steps follows the
clock instead, so that it ends with the minutes; all pictures are trained on (`fold all`) and none
of the time goes to validation; the memory that it plans for is an argument, since it sets patch and
batch. Planning and preprocessing come before the clock starts. Prints one JSON line.

    python nnunet_2d.py folder-with-images-and-masks folder-of-test-pictures folder-for-masks \
        --minutes 8 --positive 255 --memory-gb 1 --seed 0
"""

import argparse
import contextlib
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

# Read when nnunetv2 is imported: processes beside the one that trains.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
NAME = "Dataset001_Bench"


def parse_arguments():
    """Return the options."""
    made = argparse.ArgumentParser()
    made.add_argument("train", type=Path)
    made.add_argument("test", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--minutes", type=float, required=True)
    made.add_argument("--positive", type=int, required=True, help="the mask's value to be found")
    made.add_argument("--memory-gb", type=float, default=8.0, help="graphics memory planned for")
    made.add_argument("--plain", action="store_true", help="no mirrored pictures in inference")
    made.add_argument("--seed", type=int, default=0)
    return made.parse_args()


def settle(work):
    """Tell nnU-Net where to work and how many processes to use; before it is imported."""
    for name in ("raw", "preprocessed", "results"):
        (work / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(work / name)
    os.environ["nnUNet_n_proc_DA"] = os.environ["nnUNet_def_n_proc"] = str(CORES)


def convert(train, raw, positive):
    """Write pictures and masks as nnU-Net reads them; return how many channels they have."""
    import numpy as np
    from PIL import Image

    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True, exist_ok=True)
    modes = set()
    for path in sorted((train / "images").iterdir()):
        image = read(path)
        modes.add(image.mode)
        image.save(raw / "imagesTr" / f"{path.stem}_0000.png")
        with Image.open(train / "masks" / f"{path.stem}.png") as mask:
            label = (np.array(mask) == positive).astype(np.uint8)
        Image.fromarray(label).save(raw / "labelsTr" / f"{path.stem}.png")
    if len(modes) > 1:
        raise SystemExit(f"Pictures of several modes: {', '.join(sorted(modes))}")
    channels = ("grey",) if modes == {"L"} else ("R", "G", "B")
    described = {
        "channel_names": {str(i): name for i, name in enumerate(channels)},
        "labels": {"background": 0, "positive": 1},
        "numTraining": len(list((raw / "labelsTr").iterdir())),
        "file_ending": ".png",
    }
    (raw / "dataset.json").write_text(json.dumps(described), encoding="utf-8")


def read(path):
    """Return a picture, grey or RGB."""
    from PIL import Image

    with Image.open(path) as image:
        return image.copy() if image.mode == "L" else image.convert("RGB")


def plan(memory_gb):
    """Let nnU-Net look at the pictures, plan and preprocess."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    api.extract_fingerprint_dataset(1, num_processes=CORES)
    api.plan_experiment_dataset(1, gpu_memory_target_in_gb=memory_gb)
    api.preprocess_dataset(1, configurations=("2d",), num_processes=(CORES,))


def train(minutes, seed):
    """Train for some minutes and return (trainer, loss of each step, seconds taken)."""
    import numpy as np
    import torch
    from nnunetv2.run.run_training import get_trainer_from_args

    torch.set_num_threads(CORES)
    torch.manual_seed(seed)
    np.random.seed(seed)
    trainer = get_trainer_from_args("1", "2d", "all", device=torch.device("cpu"))
    trainer.disable_checkpointing = True
    trainer.on_train_start()
    trainer.network.train()
    losses, seconds = [], 60 * minutes
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or not losses:
        trainer.lr_scheduler.step(trainer.num_epochs * passed / seconds)
        losses.append(float(trainer.train_step(next(trainer.dataloader_train))["loss"]))
    fit_s = time.perf_counter() - start
    trainer.on_train_end()
    return trainer, losses, fit_s


def predict(trainer, folder, out, *, mirrored):
    """Answer the pictures of a folder by nnU-Net's own inference and write the masks."""
    import numpy as np
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from PIL import Image

    predictor = nnUNetPredictor(
        use_mirroring=mirrored, perform_everything_on_device=False, device=torch.device("cpu")
    )
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    out.mkdir(parents=True, exist_ok=True)
    tested = sorted(folder.iterdir())
    for path in tested:
        image = np.atleast_3d(np.array(read(path), np.float32)).transpose(2, 0, 1)[:, None]
        found = predictor.predict_single_npy_array(image, {"spacing": (999, 1, 1)})
        Image.fromarray(255 * (found[0] == 1).astype(np.uint8)).save(out / f"{path.stem}.png")
    return len(tested)


def main():
    """Plan, train, answer the test pictures, write the masks and print what it took."""
    arguments = parse_arguments()
    work = arguments.out.with_name(f"{arguments.out.name}-work").resolve()
    settle(work)
    # What nnU-Net says goes to stderr: stdout is for the JSON line.
    with contextlib.redirect_stdout(sys.stderr):
        convert(arguments.train, work / "raw" / NAME, arguments.positive)
        plan(arguments.memory_gb)
        trainer, losses, fit_s = train(arguments.minutes, arguments.seed)
        start = time.perf_counter()
        tested = predict(trainer, arguments.test, arguments.out, mirrored=not arguments.plain)
    settings = trainer.configuration_manager
    print(
        json.dumps(
            {
                "tested": tested,
                "fit_s": fit_s,
                "predict_s": time.perf_counter() - start,
                "steps": len(losses),
                "patch": [int(side) for side in settings.patch_size],
                "batch": int(settings.batch_size),
                "loss_first": sum(losses[:5]) / len(losses[:5]),
                "loss_last": sum(losses[-5:]) / len(losses[-5:]),
                "parameters": sum(p.numel() for p in trainer.network.parameters()),
                "cores": CORES,
                "nnunetv2": version("nnunetv2"),
            }
        )
    )


if __name__ == "__main__":
    main()
