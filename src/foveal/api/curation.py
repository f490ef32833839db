"""Review data and clean them: nothing is deleted, and everything can be undone."""

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

    Data that have not been checked, or have changed since, are checked first; features are computed
    if the last check computed them. The page is served from a thread: the function returns at once,
    and `review.wait()` blocks until Ctrl-C. In a notebook, the page is shown in the cell. Each
    decision is written to a log beside the data at once; the data are not changed until `foveal
    clean` applies the decisions.

    Args:
        data: As for `train`.
        model: Model whose answer and evidence are shown beside each picture; None shows neither.
        task: Task of the data; None takes that of the last check, or `classify`.
        overrides: Settings of the recipe, each as `key.path=value`.
        label_regex: Regular expression whose first group is the label in a file name.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        allowed_hosts: Names accepted in the `Host` header besides those of the loopback interface,
            such as the name of a reverse proxy; `*` accepts any.
        verbose: Whether to show the progress of a check in a terminal or notebook, if no `progress`
            is given.
        progress: Receives the progress of the check.

    Returns:
        The review, with `.url`, `.decisions` (sample → decision), `.wait()` and `.close()`. It is
        also a context manager, which closes the review on exit.

    Raises:
        DataError: If there are no pictures.
        UsageError: If the server cannot listen on the address.

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
    with shown_progress(progress, verbose=verbose) as reporting:
        found = checked(data, recipe, reporting, answers=network_answers)
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
    """Apply the decisions of a review: move pictures to quarantine and change labels.

    A cleaning is applied completely or not at all, even if the process is killed. Nothing is
    deleted: pictures are moved to `.foveal/quarantine/` in the folder.

    Args:
        data: Folder of pictures, or a table in one.
        auto: Also resolve the findings of `foveal.check` by the rules in
            `foveal.curation.rules.RULES`; decisions of the review take precedence.
        only: Ids of the findings to resolve, such as `["images.near_duplicate"]`; None resolves
            all.
        steps: Page steps, such as `["grey", "threshold", "trim", "margin"]`, applied to every
            picture that stays; see `foveal.page.STEPS`. Names and formats of the files do not
            change.
        dry_run: Only return what would be done.
        undo: Undo the last cleaning instead of cleaning.
        confirm: Called with the plan; returns whether to apply it. None applies it without asking.
        task: As for `foveal.check`; None takes that of the last check.
        overrides: As for `foveal.check`.
        label_regex: As for `foveal.check`.
        verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
            given.
        progress: Receives the progress of the check that is run if the last one is out of date.

    Returns:
        What was done; `changes` lists every sample. A notebook shows it as a table.

    Raises:
        DataError: If the data cannot be changed in place, or files changed in the meantime.
        UsageError: If there are no decisions, nothing can be undone, or another process is cleaning
            the data.

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
                "undo=True undoes a whole cleaning and cannot be combined with auto, only, steps "
                "or dry_run."
            )
        return undo_cleaning(data)
    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
    agree = confirm or (lambda plan: True)
    with shown_progress(progress, verbose=verbose) as reporting:
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


def cleanings(data: str | Path) -> list[Cleaning]:
    """Return the cleanings of a data set, oldest first.

    Args:
        data: As for `clean`.

    Raises:
        DataError: If the data cannot be changed in place.
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
    """Review the feedback that users gave on the answers of a served model.

    The most valuable corrections come first: answers that a user called wrong, then the answers
    with the lowest confidence. Accepted corrections can be merged into a labelled data set, whose
    own pictures and labels are not changed; merging them again adds nothing.

    Args:
        folder: Folder in which `serve(collect=...)` stores the feedback.
        model: Name of a model, to select the feedback on it; None selects all models.
        accept: Ids to accept; `"all"` accepts every new correction whose label is known and not
            contradicted by other feedback.
        reject: Ids to reject.
        label: Label of the accepted corrections in place of the one that the user gave; several
            classes are joined by `|`.
        merge: Data set to which all accepted corrections are added: class folders, a table, or
            pictures with masks. It is created if it does not exist.

    Returns:
        The corrections after the changes, and what was merged.

    Raises:
        DataError: If there is no feedback, or nothing can be added to the data set.
        UsageError: If an id or model is unknown, or an accepted correction has no label.

    Example:
        >>> foveal.corrections("kept")  # doctest: +SKIP
        Corrections(kept, 12 new)
        >>> foveal.corrections("kept", accept="all", merge="photos").merged  # doctest: +SKIP
    """
    from foveal.curation.correct import correct

    into = None if merge is None else Path(merge)
    return correct(Path(folder), model=model, accept=accept, reject=reject, label=label, into=into)
