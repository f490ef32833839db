"""Stain augmentation for histology.

The stains are told apart by their optical densities: A. C. Ruifrok and D. A. Johnston,
"Quantification of Histochemical Staining by Color Deconvolution", 2001. That their amounts are
multiplied at random follows D. Tellez et al., "Whole-Slide Mitosis Detection in H&E Breast
Histology Using PHH3 as a Reference to Train Distilled Stain-Invariant Convolutional Networks",
2018, https://doi.org/10.1109/TMI.2018.2820199; nothing is added here, so that white stays white.
"""

from __future__ import annotations

import torch
from torch import Tensor

from foveal.train.share import Share

# Optical densities of red, green and blue for haematoxylin, eosin and DAB (Ruifrok and Johnston),
# each of length 1. In pictures without DAB its part is what the other two do not explain.
_DENSITIES = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))


def restain(images: Tensor, most: float, generator: torch.Generator, share: Share) -> Tensor:
    """Return the pictures with the amount of each stain changed.

    Args:
        images: (N, 3, H, W) float32 in [0, 255].
        most: Factors are drawn from [1 - most, 1 + most].
        generator: On the CPU; every draw comes from it.
        share: Which rows of a batch these are.
    """
    factors = 1 + (share.draws(3, generator) * 2 - 1) * most
    densities = torch.tensor(_DENSITIES)
    densities = densities / densities.norm(dim=1, keepdim=True)
    # As columns: densities of the colours → stains → changed → densities of the colours.
    matrix = densities.T @ (factors[:, :, None] * torch.linalg.inv(densities.T))
    flat = images.flatten(2)
    # One more than the value, so that black has a density, and white has none.
    dark = torch.log((flat + 1) / 256)
    changed = torch.exp(torch.bmm(matrix.to(images.device), dark)) * 256 - 1
    return changed.clamp_(0, 255).view_as(images)
