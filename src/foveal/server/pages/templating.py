"""The pages of a server, from the templates beside this file."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    import jinja2


def page(name: str, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        name: File name of its template.
        values: What the template shows.
    """
    return HTMLResponse(_environment().get_template(name).render(values))


@cache
def _environment() -> jinja2.Environment:
    # Imported late: many a server is asked by programs alone, and this is a twentieth of its start.
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("foveal.server.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
