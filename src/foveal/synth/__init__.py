"""Labelled pictures of text, drawn with the fonts at hand: one module for each kind."""

from foveal.synth.kinds import KINDS, Kind
from foveal.synth.letters import LETTERS

__all__ = ["KINDS", "LETTERS", "Kind"]
