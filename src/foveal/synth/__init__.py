"""Synthetic labelled pictures of text, one module for each kind."""

from foveal.synth.arithmetic import ARITHMETIC
from foveal.synth.captcha import CAPTCHA
from foveal.synth.folder import write_folder
from foveal.synth.formula import FORMULA
from foveal.synth.kinds import KINDS, Drawn, Kind, make_kind
from foveal.synth.letters import LETTERS
from foveal.synth.source import SynthSource, is_synth, kind_of, make_source, open_synth

__all__ = [
    "ARITHMETIC",
    "CAPTCHA",
    "FORMULA",
    "KINDS",
    "LETTERS",
    "Drawn",
    "Kind",
    "SynthSource",
    "is_synth",
    "kind_of",
    "make_kind",
    "make_source",
    "open_synth",
    "write_folder",
]
