"""Selectors of a recipe: CSS, with `::text` and `::attr(NAME)`, or XPath."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import parsel
from cssselect import SelectorError

from foveal.errors import RecipeError

SELECTORS = ("item", "picture", "next")
# What XPath begins with, and CSS cannot.
_XPATH = ("/", "./", "../", "(", "@")


def check_selectors(selectors: Mapping[str, Any]) -> None:
    """Raise unless everything given is a selector.

    Args:
        selectors: Key of the recipe → selector.

    Raises:
        RecipeError: Naming the key.
    """
    empty = parsel.Selector(text="<html></html>")
    for key, text in selectors.items():
        if not isinstance(text, str) or not text.strip():
            raise RecipeError(
                f"Invalid value for recipe key {key!r}. Expected a CSS selector or XPath. "
                f"Received: {text!r}."
            )
        try:
            empty.xpath(to_xpath(text))
        except (SelectorError, ValueError) as error:
            reason = " ".join(str(error).split()) or "it cannot be parsed"
            raise RecipeError(
                f"Invalid selector in recipe key {key!r}: {reason}.",
                hint="CSS such as 'a.next' or 'img::attr(src)', or XPath such as '//a[2]/@href'",
            ) from error


def to_xpath(text: str) -> str:
    """Return the XPath of a selector, looking below the element that it is given.

    Raises:
        SelectorError: If it is no CSS selector.
    """
    text = text.strip()
    if text != "." and not text.startswith(_XPATH):
        return parsel.css2xpath(text)
    # `//img` in an entry means one of its own, not any of the page.
    return f".{text}" if text.startswith("/") else text
