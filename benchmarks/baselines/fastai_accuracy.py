"""EfficientNet-Lite0 with ImageNet weights, fine-tuned by fastai's `fine_tune` within some minutes.

A program of its own, started by ../fastai_accuracy.py with the interpreter of an environment that
holds fastai and timm. `fine_tune` needs the number of epochs beforehand: it is the largest that the
rate of a few steps promises to fit. Prints one JSON line.

    python fastai_accuracy.py TRAIN TEST WEIGHTS SIDE BATCH_SIZE SECONDS SEED

WEIGHTS is the state of timm's `tf_efficientnet_lite0`, as torch saves it.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import torch
from torchvision_operators import declare_operators

# The tutorial needs none of them.
operators = declare_operators()

warnings.filterwarnings("ignore")

from fastai.vision.all import (  # noqa: E402  # after torchvision is there
    ImageDataLoaders,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    get_image_files,
    set_seed,
    vision_learner,
)

train, test, weights = map(Path, sys.argv[1:4])
side, batch_size, seconds, seed = map(int, sys.argv[4:8])
STEPS = 4
# What the weights were trained with, as timm has it too.
NORMALIZE = Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3, cuda=False)

start = time.perf_counter()
set_seed(seed, reproducible=True)
loaders = ImageDataLoaders.from_folder(
    train,
    valid_pct=0.2,
    seed=seed,
    item_tfms=Resize(side),
    batch_tfms=[*aug_transforms(size=side), NORMALIZE],
    bs=batch_size,
    num_workers=0,
    device=torch.device("cpu"),
)


def make():
    """Return a learner with the weights that foveal starts from."""
    made = vision_learner(loaders, "tf_efficientnet_lite0", metrics=accuracy, pretrained=False)
    missing = made.model[0].model.load_state_dict(torch.load(weights), strict=False)
    # The classifier of ImageNet has no place here.
    if missing.missing_keys:
        raise SystemExit(f"the weights lack {', '.join(missing.missing_keys)}")
    # What `pretrained=True` does after loading weights.
    made.freeze()
    return made


def step_seconds():
    """Return how long a step of the whole network takes, from the second one on."""
    learner = make()
    learner.unfreeze()
    optimizer = torch.optim.Adam(learner.model.parameters(), lr=0.0)
    times = []
    for _, (images, labels) in zip(range(STEPS), loaders.train, strict=False):
        began = time.perf_counter()
        loss = learner.loss_func(learner.model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - began)
    return min(times[1:] or times)


step = step_seconds()
# A pass over the validation part takes a third of the time that learning from it would; so does the
# frozen epoch, but for its validation. What is read from the disk is in the measured fit alone.
whole = len(loaders.train) * step + len(loaders.valid) * step / 3
left = seconds - (time.perf_counter() - start)
epochs = max(1, int(left / whole - 2 / 3))
learner = make()
fitted = time.perf_counter()
with learner.no_bar(), learner.no_logging():
    learner.fine_tune(epochs)
fit_s = time.perf_counter() - fitted
files = get_image_files(test)
with learner.no_bar(), learner.no_logging():
    scores, _ = learner.get_preds(dl=loaders.test_dl(files, num_workers=0))
found = [loaders.vocab[index] for index in scores.argmax(dim=1).tolist()]
right = sum(name == path.parent.name for name, path in zip(found, files, strict=True))
print(
    json.dumps(
        {
            "right": right,
            "count": len(files),
            "epochs": epochs,
            "fit_s": fit_s,
            "total_s": time.perf_counter() - start,
            "versions": {
                name: version(name) for name in ("fastai", "timm", "torch", "torchvision")
            },
        }
    )
)
