"""A U-Net as the tutorial of segmentation-models-pytorch trains one: Dice loss, Adam, cosine.

A program of its own, started by ../segment_unet.py. Loss, optimiser, rate, schedule and batch are
those of the tutorial for two classes
(https://github.com/qubvel-org/segmentation_models.pytorch, examples/binary_segmentation_intro).
As whole pictures of 1000 px do not make batches, it crops at random and flips. The cosine runs
over the minutes instead of a number of steps, which nobody knows beforehand, so it ends when they
do. Pictures are decoded before the clock starts. Of foveal it has the encoder's weights, so that
both begin with the same ones, and the import that also works beside a torchvision without its
operators. Prints one JSON line.

    python plain_unet.py folder-with-images-and-masks folder-of-test-pictures folder-for-masks \
        --minutes 8 --positive 255 --seed 0
"""

import argparse
import json
import math
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from foveal.machine import available_cores
from foveal.models.lite import load_lite
from foveal.models.torchvision_shim import import_smp

smp = import_smp()

# Timm's own network of that name: its tensors are called as those of `load_lite` are.
ENCODER = "tu-tf_efficientnet_lite0"
CROP, BATCH, STRIDE = 256, 16, 32
LR, LR_END = 2e-4, 1e-5


def parse_arguments():
    """Return the options."""
    made = argparse.ArgumentParser()
    made.add_argument("train", type=Path)
    made.add_argument("test", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--minutes", type=float, required=True)
    made.add_argument("--positive", type=int, required=True, help="the mask's value to be found")
    made.add_argument("--seed", type=int, default=0)
    return made.parse_args()


def build():
    """Return the U-Net with the pretrained encoder, and what the encoder wants of pictures."""
    model = smp.Unet(ENCODER, encoder_weights=None, in_channels=3, classes=1)
    pretrained = load_lite(0, pretrained=True).state_dict()
    wanted = model.encoder.model.state_dict()
    # What is left over is the classifier and the convolution before it.
    model.encoder.model.load_state_dict({name: pretrained[name] for name in wanted})
    settings = smp.encoders.get_preprocessing_params(ENCODER)
    mean, std = (torch.tensor(settings[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return model, mean, std


def read(path):
    """Return a picture, (3, H, W) uint8 RGB."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def read_pairs(root, positive):
    """Return pictures and (1, H, W) float32 masks of 0 and 1."""
    pairs = []
    for path in sorted((root / "images").iterdir()):
        with Image.open(root / "masks" / f"{path.stem}.png") as mask:
            is_positive = np.array(mask) == positive
        pairs.append((read(path), torch.from_numpy(is_positive)[None].float()))
    return pairs


def draw_batch(pairs, rng):
    """Return (pictures, masks) of random crops, each flipped by chance along each side."""
    images, masks = [], []
    for index in rng.integers(0, len(pairs), BATCH):
        image, mask = pairs[index]
        top, left = (int(rng.integers(0, side - CROP + 1)) for side in mask.shape[1:])
        flips = [axis for axis in (1, 2) if rng.random() < 0.5]
        for part, into in ((image, images), (mask, masks)):
            into.append(part[:, top : top + CROP, left : left + CROP].flip(flips))
    return torch.stack(images), torch.stack(masks)


def normalised(images, mean, std):
    """Return float32 pictures as the encoder's weights saw them."""
    return (images.float() / 255 - mean) / std


def rate(share):
    """Return the learning rate when a share of the time, in [0, 1], is over."""
    return LR_END + (LR - LR_END) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def train(model, pairs, mean, std, seconds, rng):
    """Train until the time is over and return (loss of each step, seconds taken)."""
    loss_function = smp.losses.DiceLoss(smp.losses.BINARY_MODE, from_logits=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    losses = []
    model.train()
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or not losses:
        for group in optimizer.param_groups:
            group["lr"] = rate(passed / seconds)
        images, masks = draw_batch(pairs, rng)
        loss = loss_function(model(normalised(images, mean, std)), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, time.perf_counter() - start


def padding(height, width):
    """Return what to add below and on the right, so that the encoder's stride divides the sides."""
    return -height % STRIDE, -width % STRIDE


def predict(model, image, mean, std):
    """Return where a whole picture shows what is looked for, (H, W) bool."""
    height, width = image.shape[1:]
    below, right = padding(height, width)
    inputs = normalised(image[None], mean, std)
    inputs = nn.functional.pad(inputs, (0, right, 0, below), mode="reflect")
    with torch.inference_mode():
        probabilities = model(inputs).sigmoid()
    return (probabilities[0, 0, :height, :width] > 0.5).numpy()


def main():
    """Train, answer the test pictures, write the masks and print what it took."""
    arguments = parse_arguments()
    torch.set_num_threads(available_cores())
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    model, mean, std = build()
    pairs = read_pairs(arguments.train, arguments.positive)
    seconds = 60 * arguments.minutes
    losses, fit_s = train(model, pairs, mean, std, seconds, rng)
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.eval()
    start = time.perf_counter()
    tested = sorted(arguments.test.iterdir())
    for path in tested:
        found = predict(model, read(path), mean, std)
        Image.fromarray(found.astype(np.uint8) * 255).save(arguments.out / f"{path.stem}.png")
    predict_s = time.perf_counter() - start
    print(
        json.dumps(
            {
                "pictures": len(pairs),
                "tested": len(tested),
                "fit_s": fit_s,
                "predict_s": predict_s,
                "steps": len(losses),
                "crops": BATCH * len(losses),
                "loss_first": float(np.mean(losses[:10])),
                "loss_last": float(np.mean(losses[-10:])),
                "parameters": sum(p.numel() for p in model.parameters()),
                "threads": torch.get_num_threads(),
                "segmentation_models_pytorch": version("segmentation-models-pytorch"),
            }
        )
    )


if __name__ == "__main__":
    main()
