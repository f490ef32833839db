"""Decide about data and change it: nothing is deleted, and everything can be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from foveal.api.data import network_answers
from foveal.console import Progress
from foveal.foreign import spelled
from foveal.model import Model, shown_progress

if TYPE_CHECKING:
    from foveal.curation.cleaned import CleanReport
    from foveal.curation.correct import Corrections
    from foveal.curation.journal import Cleaning
    from foveal.server.review.session import ReviewSession


@spelled
def review(
    data: str | Path,
    *,
    model: str | Path | Model | None = None,
    task: str | None = None,
    overrides: Sequence[str] = (),
    label_regex: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    allowed_hosts: Sequence[str] = (),
    verbose: bool = True,
    progress: Progress | None = None,
) -> ReviewSession:
    """Go through the suspects of the last check on a web page.

    Data that were not checked yet, or that changed since, are checked first, with features where
    the last check had them. The page is served by a thread: the function returns at once, and
    `review.wait()` waits for Ctrl-C. In a notebook the page shows in the cell. Each decision is
    written at once to a log beside the data; the data stay as they are until `foveal clean` applies
    it.

    Args:
        data: As for `train`.
        model: Model whose answers and evidence are shown beside a picture; None shows none.
        task: Task that the data is for; None takes that of the last check, else `classify`.
        overrides: Each `key.path=value`, as after `--set`.
        label_regex: Regular expression whose first group is the label in a file name.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        allowed_hosts: Names that a `Host` header may have besides the loopback's, such as that of a
            proxy in front; `*` allows any.
        verbose: Whether a check shows a bar in a terminal or notebook, if no `progress` is given.
        progress: Receives the progress of a check.

    Returns:
        The review, with `.url`, `.decisions` (sample → decision), `.wait()` and `.close()`; a
        context manager that closes it.

    Raises:
        DataError: If there are no pictures.
        UsageError: If the address cannot be listened on.

    Example:
        >>> review = foveal.review("photos")  # doctest: +SKIP
        >>> review.url  # doctest: +SKIP
        'http://127.0.0.1:41234'
        >>> review.decisions["cat/7.jpg"].label  # doctest: +SKIP
        'dog'
        >>> review.close()  # doctest: +SKIP
    """
    from foveal.curation.review import Review
    from foveal.curation.workspace import Workspace
    from foveal.notebook.framed import FRAMED_BY
    from foveal.progress import in_notebook
    from foveal.recipe import make_recipe
    from foveal.server.options import ServerOptions
    from foveal.server.review.pictures import Pictures
    from foveal.server.review.session import ReviewSession
    from foveal.server.review.state import ReviewState
    from foveal.workflow.kept import checked
    from foveal.workflow.sources import limits_of

    # Whoever asks for another address than this machine's wants the page seen from there.
    options = ServerOptions(
        host=host,
        port=port,
        allowed_hosts=tuple(allowed_hosts),
        insecure=True,
        drain_delay_s=0,
        # There is no other server to send a browser to.
        drain_s=1,
    )
    opened = model if model is None or isinstance(model, Model) else Model(model)
    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
    reporting = shown_progress(progress, verbose=verbose)
    try:
        found = checked(data, recipe, reporting, answers=network_answers)
    finally:
        reporting.finish()
    predictor = None if opened is None else opened.predictor
    state = ReviewState(
        Review(found.source, found.report, Workspace.of(data).review),
        Pictures(found.source, limits_of(found.recipe), predictor),
        options,
        model=None if opened is None else opened.bundle.name,
        framed_by=FRAMED_BY if in_notebook() else None,
    )
    return ReviewSession(state)


@spelled
def clean(
    data: str | Path,
    *,
    auto: bool = False,
    only: Sequence[str] = (),
    steps: Sequence[str] = (),
    dry_run: bool = False,
    undo: bool = False,
    confirm: Callable[[CleanReport], bool] | None = None,
    task: str | None = None,
    overrides: Sequence[str] = (),
    label_regex: str | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> CleanReport:
    """Do what a review decided: move pictures to quarantine, give others another label.

    A cleaning is done whole or not at all, also when the process is killed, and nothing is
    deleted: pictures go to `.foveal/quarantine/` in the folder.

    Args:
        data: A folder of pictures, or a table in one.
        auto: Deal with findings of `foveal.check` too, by the rules in
            `foveal.curation.rules.RULES`; what a person decided comes first.
        only: Ids of findings, such as `["images.near_duplicate"]`; then nothing else is dealt
            with.
        steps: Page steps, such as `["grey", "threshold", "trim", "margin"]`, that all pictures go
            through which stay; see `foveal.page.STEPS`. They keep their names and formats.
        dry_run: Only return what would be done.
        undo: Bring back everything as it was before the last cleaning, instead of cleaning.
        confirm: Given the plan, returns whether to go on; None goes on.
        task: As for `foveal.check`; None takes that of the last check.
        overrides: As for `foveal.check`.
        label_regex: As for `foveal.check`.
        verbose: Whether a terminal or notebook shows a bar, if no `progress` is given.
        progress: Receives the progress of a check, where the last one is out of date.

    Returns:
        What was done. Its `changes` hold every sample; a notebook shows it as a table.

    Raises:
        DataError: For data that cannot be changed in place, and where files changed meanwhile.
        UsageError: When nothing is decided, nothing can be undone, or another process is cleaning.

    Example:
        >>> foveal.clean("photos", auto=True, dry_run=True)  # doctest: +SKIP
        CleanReport(photos, planned: 12 pictures to quarantine)
    """
    from foveal.errors import UsageError
    from foveal.recipe import make_recipe
    from foveal.workflow.clean import clean_data, undo_cleaning

    if undo:
        if auto or only or steps or dry_run:
            raise UsageError(
                "Undoing brings back all of a cleaning. Expected nothing else with it."
            )
        return undo_cleaning(data)
    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
    reporting = shown_progress(progress, verbose=verbose)
    agree = confirm or (lambda plan: True)
    try:
        return clean_data(
            data,
            recipe,
            auto=auto,
            only=only,
            steps=steps,
            confirm=(lambda plan: False) if dry_run else agree,
            progress=reporting,
            answers=network_answers,
        )
    finally:
        reporting.finish()


def cleanings(data: str | Path) -> list[Cleaning]:
    """Return the cleanings of some data, the first one first.

    Args:
        data: As for `clean`.

    Raises:
        DataError: For data that cannot be changed in place.
    """
    from foveal.workflow.clean import cleanings_of

    return cleanings_of(data)


def corrections(
    folder: str | Path,
    *,
    model: str | None = None,
    accept: Sequence[int] | Literal["all"] = (),
    reject: Sequence[int] = (),
    label: str | None = None,
    merge: str | Path | None = None,
) -> Corrections:
    """Go through what people said about the answers of a served model.

    Those come first that are worth the most: answers that someone called wrong, then those of which
    the model was least sure. Accepted ones can be merged into a labelled set, whose pictures and
    labels stay as they are; the same merge twice adds nothing.

    Args:
        folder: Folder that `serve(collect=...)` keeps feedback in.
        model: Only what was said about this model; None takes all models.
        accept: Ids to accept; `"all"` takes those that are new, of which it is known what they
            are, and of which nobody says something else.
        reject: Ids to reject.
        label: What the accepted ones really are, instead of what was said; several classes are
            joined by `|`.
        merge: Class folders, a table, or pictures with masks, to add all accepted ones to; made
            when it is not there.

    Returns:
        The corrections as they are now, and what was merged.

    Raises:
        DataError: If there is no feedback, or the set cannot be added to.
        UsageError: For an unknown id or model, or an accepted one of which nobody knows what it is.

    Example:
        >>> foveal.corrections("kept")  # doctest: +SKIP
        Corrections(kept, 12 new)
        >>> foveal.corrections("kept", accept="all", merge="photos").merged  # doctest: +SKIP
    """
    from foveal.curation.correct import correct

    into = None if merge is None else Path(merge)
    return correct(Path(folder), model=model, accept=accept, reject=reject, label=label, into=into)
