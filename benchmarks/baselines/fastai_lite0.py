"""EfficientNet-Lite0 fine-tuned as fastai's tutorial does it, with a vision_learner.

A program of its own, started by ../fine_tuning.py with the interpreter of an environment that holds
fastai and timm. Prints one JSON line.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version

import torch
from torchvision_operators import declare_operators

# The tutorial needs none of them.
operators = declare_operators()

warnings.filterwarnings("ignore")

from fastai.vision.all import (  # noqa: E402  # after torchvision is there
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    vision_learner,
)

data, side, batch_size, epochs = sys.argv[1], *map(int, sys.argv[2:5])
loaders = ImageDataLoaders.from_folder(
    data,
    train="train",
    valid="val",
    item_tfms=Resize(side),
    batch_tfms=aug_transforms(size=side),
    bs=batch_size,
    num_workers=0,
    device=torch.device("cpu"),
)
# Without weights: the rate does not depend on them.
learner = vision_learner(loaders, "efficientnet_lite0", metrics=accuracy, pretrained=False)
learner.unfreeze()
start = time.perf_counter()
with learner.no_bar(), learner.no_logging():
    learner.fit_one_cycle(epochs)
print(
    json.dumps(
        {
            "pictures": epochs * len(loaders.train_ds),
            "fit_s": time.perf_counter() - start,
            "threads": torch.get_num_threads(),
            "versions": {
                name: version(name) for name in ("fastai", "timm", "torch", "torchvision")
            },
        }
    )
)
