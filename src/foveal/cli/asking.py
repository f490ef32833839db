"""`foveal predict URL`: a model that is served elsewhere, printed as one that is here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from foveal.cli.output import complain, note, write, write_json
from foveal.errors import UsageError, reason
from foveal.words import about_picture, table

if TYPE_CHECKING:
    from foveal.predict.asked import Asked
    from foveal.predict.inputs import Given


def is_endpoint(model: str) -> bool:
    """Return whether MODEL is the address of a server."""
    return model.startswith(("http://", "https://"))


def print_answers(
    url: str,
    pictures: Iterable[str | Given],
    instances: Path | None,
    *,
    key_file: Path | None,
    together: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Ask a server about pictures or with a whole request, and print what it answers.

    Raises:
        ServiceError: If it cannot be reached, or refuses.
        UsageError: For an address that is none.
        Exit: With status 1 when a picture has no answer.
    """
    # Imported late: most models are on this machine.
    from foveal.predict.asked import Endpoint, read_instances
    from foveal.predict.inputs import read_each

    endpoint = Endpoint(url, key=_key(key_file))
    if instances is not None:
        answers = endpoint.answer_instances(read_instances(instances))
    else:
        answers = endpoint.answer(read_each(list(pictures)), together=together)
    total, failed = 0, 0
    rows: list[Asked] = []
    for answer in _said(answers):
        total += 1
        failed += answer.error is not None
        if as_json:
            write_json(answer.record)
            sys.stdout.flush()
        elif answer.error is None:
            rows.append(answer)
    if rows:
        write(table(("answer", "confidence", "", "picture"), map(_row, rows)))
    if failed:
        note(f"{failed} of {total} pictures could not be answered", quiet=quiet)
        raise typer.Exit(1)


def local_pictures(instances: Path) -> Iterator[Given]:
    """Return the pictures of a request, for a model of this machine."""
    # Imported late: what reads requests comes with the server.
    import json

    from foveal.predict.asked import read_instances
    from foveal.predict.inputs import Given
    from foveal.server.protocols.tfrequest import parse_predict
    from foveal.server.request.limits import RequestError

    body = json.dumps({"instances": read_instances(instances)}).encode()
    try:
        asked = parse_predict(body, "application/json", sys.maxsize)
    except RequestError as error:
        raise UsageError(f"{instances}: {error}") from error
    for number, data in enumerate(asked.pictures):
        yield Given(f"instance {number}", data)


def _key(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the key {path}: {reason(error)}.") from error


def _said(answers: Iterator[Asked]) -> Iterator[Asked]:
    for answer in answers:
        if answer.error is not None:
            complain(about_picture(answer.source, answer.error.message))
        yield answer


def _row(answer: Asked) -> tuple[str, ...]:
    confidence = answer.confidence
    shown: Any = "" if confidence is None else f"{100 * confidence:.1f} %"
    return answer.text or "(none)", shown, answer.doubt, answer.source
