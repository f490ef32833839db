"""Find backbones by name: registered ones, those of timm, custom ones, or several."""

from __future__ import annotations

from foveal.errors import UsageError, nearest
from foveal.models import cnn, lite
from foveal.models.backbone import BACKBONES, BackboneSpec
from foveal.models.concat import concat_spec
from foveal.models.custom import custom_spec
from foveal.models.timm_backbone import timm_names, timm_spec
from foveal.recipe import ModelOptions

__all__ = ["BACKBONES", "resolve_backbone", "starts_pretrained"]

# Importing these modules fills the table.
_FAMILIES = (cnn, lite)


def resolve_backbone(name: str) -> BackboneSpec:
    """Return the spec of a backbone.

    Args:
        name: One of `BACKBONES`, a model of timm, `package.module:make`, or several joined by
            commas.

    Raises:
        UsageError: If the name is unknown (the message suggests the closest), or the network does
            not return feature maps.
        PluginError: If it belongs to a plug-in that does not work.
    """
    names = [part.strip() for part in name.split(",")]
    if not all(names):
        raise UsageError(
            f"Invalid backbone {name!r}. Expected a name, or several joined by commas.",
            hint="use --backbone efficientnet_lite0",
        )
    specs = [_resolve_one(part) for part in names]
    return specs[0] if len(specs) == 1 else concat_spec(specs)


def starts_pretrained(options: ModelOptions) -> bool:
    """Return whether a network of the options starts from weights of its backbone."""
    return options.pretrained and resolve_backbone(options.backbone).pretrained


def _resolve_one(name: str) -> BackboneSpec:
    if ":" in name:
        return custom_spec(name)
    if name in BACKBONES:
        return BACKBONES[name]
    known = timm_names()
    if name not in known:
        near = nearest(name, [*BACKBONES, *known])
        guess = f" Did you mean {near!r}?" if near else ""
        raise UsageError(
            f"Unknown backbone {name!r}.{guess} Expected one of: {', '.join(BACKBONES)}, "
            f"one of timm's {len(known)} models, or package.module:make.",
            hint="foveal train DATA --backbone efficientnet_lite0",
        )
    return timm_spec(name)
