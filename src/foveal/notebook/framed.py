"""Show a page of a server of this process in a cell."""

from __future__ import annotations

from html import escape

FRAMED_BY = (
    "'self' http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:* "
    "vscode-webview:"
)
"""Pages that may show a page of a notebook's server: notebooks of this machine. `'self'` is where a
proxy gives both under one name."""


def framed_html(url: str, *, title: str, height_px: int = 720) -> str:
    """Return an iframe for a page, and advice for browsers that cannot reach it.

    Args:
        url: URL of a page on the machine of the kernel.
        title: Title of the frame, for screen readers.
        height_px: Height of the frame, in pixels.
    """
    shown = escape(url)
    port = escape(url.rsplit(":", 1)[-1].rstrip("/"))
    return (
        f'<iframe src="{shown}" title="{escape(title)}" width="100%" height="{height_px}" '
        'style="border:1px solid #8886;border-radius:12px"></iframe>'
        f'<details><summary>Nothing above? <a href="{shown}" target="_blank">{shown}</a></summary>'
        "<p>The page is on the machine of the kernel. Where the browser runs on another, "
        f"forward the port: <code>ssh -L {port}:localhost:{port} HOST</code>; or, with "
        "jupyter-server-proxy, pass <code>allowed_hosts=(&quot;NAME OF THE NOTEBOOK'S HOST&quot;,)"
        f"</code> to <code>foveal.review</code> and open <code>proxy/{port}/</code> below the "
        "address of Jupyter. Without either, <code>foveal.check</code> shows what was found, and "
        "<code>foveal clean</code> applies it.</p></details>"
    )
