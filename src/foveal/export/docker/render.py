"""The templates; those in `deploy/` come from the same ones, for a store instead of a model."""

from __future__ import annotations

import json


def render(template: str, **values: object) -> str:
    """Return a template with its values."""
    # Imported late: the list of formats, which comes here, is made at every start.
    import jinja2

    # Names in these are checked, and what is not is quoted by the filter: there is no HTML here.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.PackageLoader("foveal.export.docker"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = _quoted
    # The filter of that name replaces what has a meaning in HTML.
    environment.filters["as_json"] = json.dumps
    return environment.get_template(template).render(values)


def for_store(template: str) -> str:
    """Return a template for a store of models, as it stands in `deploy/`."""
    return render(template, name="foveal", image="foveal", store=True, gpu=False)


def _quoted(text: str) -> str:
    """Return a text as the value of a Dockerfile's LABEL: no variable of it is replaced."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    for special in ("\\", '"', "$"):
        plain = plain.replace(special, "\\" + special)
    return f'"{plain}"'
