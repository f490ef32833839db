"""Operators of torchvision, declared for programs that import it without using them."""

import torch


def declare_operators():
    """Declare what torchvision looks for while it is imported, where that is not there.

    It may be built for another torch, as on a machine without a GPU.
    """
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # They are gone with it.
    return operators
