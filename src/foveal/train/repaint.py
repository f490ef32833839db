"""Random changes of colour, strokes, lighting, sharpness and noise."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from foveal.recipe import AugmentOptions
from foveal.train.share import Share
from foveal.train.stain import restain

# Rec. 601 luma: the grey that saturation is measured from, as in Pillow's ImageEnhance.
LUMA = (0.299, 0.587, 0.114)
# Side of an erased rectangle as a share of the picture's side.
ERASED_SIDE = (0.1, 0.4)
# Between two lines, as a share of the picture's longer side; and the width of a line in pixels.
LINE_SPACING, LINE_WIDTH = (0.1, 0.5), (0.7, 2.0)
# How much of what is below a line it covers.
LINE_OPACITY = (0.2, 0.9)
BLUR_SIGMAS = ((1, 0.8), (2, 1.2))
"""(radius in pixels, standard deviation in pixels) of the 3x3 and the 5x5 kernel."""


# What changes colours by a matrix and an offset.
_COLOURS = ("brightness", "contrast", "color", "fade", "ink_color", "tint", "invert")


def repaint(
    images: Tensor,
    options: AugmentOptions,
    ground: tuple[int, int, int],
    generator: torch.Generator,
    share: Share,
) -> Tensor:
    """Return the pictures with everything changed that leaves places as they are.

    Args:
        images: (N, 3, H, W) float32 in [0, 255]; may be changed in place.
        options: Ranges and shares.
        ground: RGB in [0, 255], what `fade` fades to.
        generator: Every draw comes from it; on the CPU.
        share: Which rows of a batch these are.
    """
    if not options.is_on:
        return images
    if options.stain:
        images = restain(images, options.stain, generator, share)
    images = _recolor(images, options, ground, generator, share)
    if options.lines:
        images = _rule(images, options.lines, generator, share)
    if options.shade:
        images = _shade(images, options.shade, generator, share)
    if options.blur:
        images = _blur(images, options.blur, generator, share)
    if options.noise:
        seed = int(torch.randint(2**62, (), generator=generator))
        # Drawn on the images' device: a normal draw per value is slow on the processor.
        local = torch.Generator(images.device).manual_seed(seed)
        shape = (share.total, *images.shape[1:])
        noise = torch.randn(shape, generator=local, device=images.device)
        images = images.add_(share.take(noise), alpha=options.noise * 255)
    if options.erasing:
        images = _erase(images, options.erasing, generator, share)
    if options.noise or any(getattr(options, name) for name in _COLOURS):
        images = images.clamp_(0, 255)
    return images


def thicken(images: Tensor, most: float, generator: torch.Generator, share: Share) -> Tensor:
    """Let dark parts grow, or shrink, by a part of a pixel or several, each picture by its own.

    Args:
        images: (N, 3, H, W) float32; changed in place.
        most: Pixels.
        generator: On the CPU; every draw comes from it.
        share: Which rows of a batch these are.
    """
    return _grow(images, (share.draws(1, generator)[:, 0] * 2 - 1) * most)


def embolden(images: Tensor, most: float, generator: torch.Generator, share: Share) -> Tensor:
    """Let dark parts of half of the pictures grow, each picture by its own amount.

    Args:
        images: (N, 3, H, W) float32; changed in place.
        most: Pixels that are added at each edge at most.
        generator: On the CPU; every draw comes from it.
        share: Which rows of a batch these are.
    """
    return _grow(images, (share.draws(1, generator)[:, 0] * 2 - 1).clamp(min=0) * most)


def _grow(images: Tensor, amount: Tensor) -> Tensor:
    """Let dark parts grow by (N,) pixels, or shrink where they are negative; in place."""
    for sign in (1, -1):
        chosen = torch.nonzero(amount * sign > 0)[:, 0]
        if not len(chosen):
            continue
        part = images[chosen.to(images.device)] * -sign
        pixels = amount[chosen].abs()
        for step in range(math.ceil(float(pixels.max()))):
            weight = (pixels - step).clamp(0, 1).to(images.device)
            part = torch.lerp(part, _largest(part), weight[:, None, None, None])
        images[chosen.to(images.device)] = part * -sign
    return images


def _largest(images: Tensor) -> Tensor:
    """Return the largest of the 3 x 3 values around each: `max_pool2d` takes 20 times as long."""
    for axis in (2, 3):
        size = images.shape[axis]
        largest = images.clone()
        for to, of in ((0, 1), (1, 0)):
            part = largest.narrow(axis, to, size - 1)
            torch.maximum(part, images.narrow(axis, of, size - 1), out=part)
        images = largest
    return images


def _recolor(
    images: Tensor,
    options: AugmentOptions,
    ground: tuple[int, int, int],
    generator: torch.Generator,
    share: Share,
) -> Tensor:
    if not any(getattr(options, name) for name in _COLOURS):
        return images
    count, device = images.shape[0], images.device
    signed = share.draws(3, generator) * 2 - 1
    brightness = 1 + signed[:, 0] * options.brightness
    contrast = 1 + signed[:, 1] * options.contrast
    color = 1 + signed[:, 2] * options.color
    luma = torch.tensor(LUMA)
    # Everything that is affine in the colour is one 3x3 matrix and an offset, so that one pass
    # over the pixels does it all: saturation, brightness and contrast first.
    saturation = color[:, None, None] * torch.eye(3) + (1 - color)[:, None, None] * luma
    matrix = saturation * (brightness * contrast)[:, None, None]
    # The offset is a share of the mean grey, which lies on the device, and a colour.
    scale, shift = (brightness * (1 - contrast))[:, None].repeat(1, 3), torch.zeros(count, 3)
    if options.fade or options.ink_color:
        kept = torch.ones(count, 1)
        if options.fade:
            kept = 1 - share.draws(1, generator) * options.fade
        if options.ink_color:
            drawn = share.draws(4, generator)
            is_coloured = (drawn[:, 3:] < 0.5).float()
            kept = kept * (1 - drawn[:, :3] * options.ink_color * is_coloured)
        matrix, scale = matrix * kept[:, :, None], scale * kept
        shift = (1 - kept) * torch.tensor(ground)
    if options.tint:
        factor = 1 + (share.draws(3, generator) * 2 - 1) * options.tint
        matrix, scale, shift = matrix * factor[:, :, None], scale * factor, shift * factor
    if options.invert:
        sign = 1 - 2 * (share.draws(1, generator) < options.invert).float()
        matrix, scale = matrix * sign[:, :, None], scale * sign
        shift = shift * sign + 255 * (1 - sign) / 2
    mean = images.mean((2, 3)) @ luma.to(device)
    offset = mean[:, None] * scale.to(device) + shift.to(device)
    flat = images.flatten(2)
    offsets = offset[:, :, None].expand(count, 3, 1)
    return torch.baddbmm(offsets, matrix.to(device), flat).view_as(images)


def _blur(images: Tensor, part: float, generator: torch.Generator, share: Share) -> Tensor:
    """Blur a share of the pictures by one of two Gaussian kernels, in place.

    Each picture is drawn for by itself. Features are cached in the order of the files, in which
    neighbours are of one class: were whole batches blurred, blur would tell classes apart.
    """
    drawn = share.draws(2, generator)
    is_blurred, is_narrow = drawn[:, 0] < part, drawn[:, 1] < 0.5
    for chosen, (radius, sigma) in zip((~is_narrow, is_narrow), BLUR_SIGMAS, strict=True):
        rows = torch.nonzero(is_blurred & chosen)[:, 0].to(images.device)
        if len(rows):
            images[rows] = _blurred(images[rows], radius, sigma)
    return images


def _blurred(images: Tensor, radius: int, sigma: float) -> Tensor:
    bell = [math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)]
    kernel = [value / sum(bell) for value in bell]
    # Sums of shifted views: a depthwise convolution takes five times as long on the processor.
    for axis, padding in ((3, (radius, radius, 0, 0)), (2, (0, 0, radius, radius))):
        padded = F.pad(images, padding, mode="replicate")
        size = images.shape[axis]
        blurred = padded.narrow(axis, radius, size) * kernel[radius]
        for step in range(1, radius + 1):
            sides = padded.narrow(axis, radius - step, size)
            sides = sides + padded.narrow(axis, radius + step, size)
            blurred = blurred.add_(sides, alpha=kernel[radius + step])
        images = blurred
    return images


def _erase(images: Tensor, part: float, generator: torch.Generator, share: Share) -> Tensor:
    """Fill one rectangle of a share of the pictures with one random colour.

    Random Erasing Data Augmentation, 2017, https://arxiv.org/abs/1708.04896; here both sides
    are drawn independently and the filling is one colour rather than noise.
    """
    _, _, height, width = images.shape
    drawn = share.draws(8, generator).to(images.device)
    size_y = _between(ERASED_SIDE, drawn[:, 1]) * height
    size_x = _between(ERASED_SIDE, drawn[:, 2]) * width
    top, left = drawn[:, 3] * (height - size_y), drawn[:, 4] * (width - size_x)
    ys = torch.arange(height, device=images.device)[None]
    xs = torch.arange(width, device=images.device)[None]
    in_y = (ys >= top[:, None]) & (ys < (top + size_y)[:, None])
    in_x = (xs >= left[:, None]) & (xs < (left + size_x)[:, None])
    chosen = drawn[:, 0] < part
    mask = (in_y & chosen[:, None])[:, None, :, None] & in_x[:, None, None, :]
    return torch.where(mask, drawn[:, 5:8, None, None] * 255, images)


def _rule(images: Tensor, part: float, generator: torch.Generator, share: Share) -> Tensor:
    """Draw parallel lines of one colour across a share of the pictures.

    Two thirds of them lie nearly along a side, as those of paper and of forms do; the others in any
    direction.
    """
    count, _, height, width = images.shape
    drawn = share.draws(10, generator).to(images.device)
    along_side = torch.round(drawn[:, 1]) * (math.pi / 2) + (drawn[:, 2] - 0.5) * 0.1
    angle = torch.where(drawn[:, 3] < 2 / 3, along_side, drawn[:, 2] * math.pi)
    spacing = _between(LINE_SPACING, drawn[:, 4]) * max(height, width)
    across = torch.arange(width, device=images.device, dtype=images.dtype)
    down = torch.arange(height, device=images.device, dtype=images.dtype)
    place = (
        torch.sin(angle)[:, None, None] * across
        + torch.cos(angle)[:, None, None] * down[:, None]
        + (drawn[:, 5] * spacing)[:, None, None]
    )
    distance = (place % spacing[:, None, None] - spacing[:, None, None] / 2).abs()
    # A pixel is covered in part where the edge of a line crosses it.
    reach = (_between(LINE_WIDTH, drawn[:, 6]) + 1) / 2
    cover = (reach[:, None, None] - distance).clamp_(0, 1)
    opacity = _between(LINE_OPACITY, drawn[:, 0] / part) * (drawn[:, 0] < part)
    colour = drawn[:, 7:10].reshape(count, 3, 1, 1) * 255
    return torch.lerp(images, colour, (cover * opacity[:, None, None])[:, None])


def _between(ends: tuple[float, float], drawn: Tensor) -> Tensor:
    """Return what lies so far between two ends, for draws in [0, 1)."""
    return ends[0] + (ends[1] - ends[0]) * drawn


def _shade(images: Tensor, most: float, generator: torch.Generator, share: Share) -> Tensor:
    """Take light away evenly from one side to the other, in any direction."""
    _, _, height, width = images.shape
    drawn = share.draws(2, generator).to(images.device)
    angle = drawn[:, 0] * 2 * math.pi
    across = torch.linspace(-1, 1, width, device=images.device)
    down = torch.linspace(-1, 1, height, device=images.device)
    along = (
        torch.cos(angle)[:, None, None] * across + torch.sin(angle)[:, None, None] * down[:, None]
    )
    # Along a diagonal it is the root of two times as far.
    missing = (along / math.sqrt(2) + 1) / 2 * (drawn[:, 1] * most)[:, None, None]
    return images.mul_((1 - missing)[:, None])
