"""Answer many files: expand folders and globs, decode in threads, run in batches, lose nothing."""

from __future__ import annotations

import glob
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from foveal.data.decode import read_file
from foveal.data.names import is_hidden, is_picture_name
from foveal.errors import DataError, FovealError
from foveal.machine import available_cores
from foveal.predict.predictor import Predictor, error_record
from foveal.types import Frame, Image, JsonObject

_Prepared = tuple[str, Image, Frame]


def expand(pictures: Iterable[str | Path]) -> Iterator[str]:
    """Yield the files that paths, folders and globs stand for, in sorted order within each.

    A name that is a file is taken as it is, whatever its ending; in folders only picture
    endings count and hidden files are passed over. A path that does not exist is yielded too:
    reading it gives its error where the caller can report it.

    Raises:
        DataError: For a folder that holds no pictures, or a glob that matches nothing.
    """
    for picture in pictures:
        path = Path(picture)
        if path.is_dir():
            found = sorted(
                str(p)
                for p in path.rglob("*")
                if is_picture_name(p.name)
                and not any(is_hidden(x) for x in p.relative_to(path).parts)
            )
            if not found:
                raise DataError(f"There are no pictures in the folder {path}.")
            yield from found
        elif not path.exists() and any(c in str(picture) for c in "*?["):
            # Not Path.glob: the pattern may start at the root or with "..".
            matches = sorted(glob.glob(str(picture), recursive=True))  # noqa: PTH207
            if not matches:
                raise DataError(f"No file matches {picture}.")
            yield from matches
        else:
            yield str(picture)


def predict_files(
    predictor: Predictor, files: Iterable[str], *, batch_size: int = 32
) -> Iterator[JsonObject]:
    """Yield one record for each file, in order, as the predictions contract has it.

    A file that cannot be read or decoded yields its error record; the others are answered.

    Args:
        predictor: Answers the pictures.
        files: Paths of picture files.
        batch_size: Pictures in one run of the network.
    """
    iterator = iter(files)
    first = list(islice(iterator, 2))
    if len(first) == 1:
        # One picture: a thread pool would only add to the start-up.
        yield from _answer(predictor, [_prepare(predictor, first[0])])
        return
    workers = available_cores()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting: deque[Future[_Prepared | tuple[str, FovealError]]] = deque(
            pool.submit(_prepare, predictor, name) for name in first
        )
        # Decode one batch ahead of the network, and no more: memory stays flat.
        while waiting:
            for name in islice(iterator, 2 * batch_size - len(waiting)):
                waiting.append(pool.submit(_prepare, predictor, name))
            batch = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
            yield from _answer(predictor, batch)


def _prepare(predictor: Predictor, name: str) -> _Prepared | tuple[str, FovealError]:
    try:
        picture = predictor.decode(read_file(Path(name), predictor.limits))
        return (name, *predictor.prepare(picture))
    except FovealError as error:
        return name, error


def _answer(
    predictor: Predictor, batch: list[_Prepared | tuple[str, FovealError]]
) -> Iterator[JsonObject]:
    good = [item for item in batch if len(item) == 3]
    start = time.perf_counter()
    predictions = iter(
        predictor.predict_inputs([pixels for _, pixels, _ in good], [frame for _, _, frame in good])
        if good
        else []
    )
    ms = 1000 * (time.perf_counter() - start) / max(1, len(good))
    for item in batch:
        if len(item) == 3:
            yield predictor.record(next(predictions), item[0], ms)
        else:
            yield error_record(item[0], item[1])
