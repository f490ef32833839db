"""Networks: backbones, heads and their weights. Needs the `train` extra (torch, timm)."""
