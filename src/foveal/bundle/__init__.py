"""Bundles, the exported models: a folder or one `.foveal` zip; nothing in it is executed."""

from foveal.bundle.bundle import Bundle
from foveal.bundle.manifest import SCHEMA_VERSION, Manifest

__all__ = ["SCHEMA_VERSION", "Bundle", "Manifest"]
