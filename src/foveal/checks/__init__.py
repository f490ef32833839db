"""Checks of data: pure functions from a scan to findings, registered under dotted ids."""

from foveal.checks.base import CHECKS, CheckInput, run_checks
from foveal.checks.images import near_duplicate, similar, unreadable
from foveal.checks.labels import class_balance, imbalance, one_class, single_picture
from foveal.checks.looks import blurred, bright, dark, low_information, odd_aspect, odd_size
from foveal.checks.masks import suspect_masks
from foveal.checks.shortcuts import size_shortcut
from foveal.checks.splits import empty_side
from foveal.checks.suspects import outliers, suspect_labels
from foveal.checks.texts import characters, length_balance

__all__ = [
    "CHECKS",
    "CheckInput",
    "blurred",
    "bright",
    "characters",
    "class_balance",
    "dark",
    "empty_side",
    "imbalance",
    "length_balance",
    "low_information",
    "near_duplicate",
    "odd_aspect",
    "odd_size",
    "one_class",
    "outliers",
    "run_checks",
    "similar",
    "single_picture",
    "size_shortcut",
    "suspect_labels",
    "suspect_masks",
    "unreadable",
]
