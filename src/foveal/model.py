"""A trained model in Python: predict, evaluate, explain, inspect, export and serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, final, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.console import NoProgress, Progress, ended
from foveal.errors import BundleError, UsageError, unpacked
from foveal.foreign import missing_attribute, spelled
from foveal.predict.answer import Answer, answer_one, open_given
from foveal.predict.answers import Answers
from foveal.predict.copies import whole_picture
from foveal.predict.engine import ONNX_RUNTIME
from foveal.predict.files import answer_pictures
from foveal.predict.inputs import PictureLike, is_one, read_each, read_one
from foveal.predict.predictor import Predictor
from foveal.types import JsonObject, Picture
from foveal.urls import from_here
from foveal.words import about_picture
from foveal.workflow.locate import find_model
from foveal.workflow.names import voters

if TYPE_CHECKING:
    from foveal.cluster.predict import AnswerFiles
    from foveal.evaluate.evaluate import Evaluation
    from foveal.explain.evidence import Explanation
    from foveal.metrics import Interval
    from foveal.server.run import ServerHandle
    from foveal.store.record import StoredVersion
    from foveal.store.store import Store

__all__ = ["Answer", "Answers", "Model", "PictureLike"]


@final
class Model:
    """A trained model: a bundle, and the run that it comes from if that is available.

    Models are pickled by path: another process opens the same bundle.

    Args:
        model: A run or its name, a bundle folder, a `.foveal` file, a model in the store (`cats`,
            `cats@live`, `cats:3`), or `imagenet`; several joined by commas vote, each with its own
            pre-processing. `bundle`, `run`, `stored`, `exports_kept_in` and `metrics` are then
            those of the first.
        max_pixels: Largest picture that is decoded, in pixels (height times width); None takes the
            limit of the training.
        max_bytes: Largest file that is decoded, in bytes; None takes the limit of the training.
        engine: Inference engine: `onnxruntime`, `openvino`, `openvino-bf16`, `cuda`, `tensorrt`, or
            `auto`, which takes the fastest one installed. Any engine but `onnxruntime` is first
            compared with it on the proof pictures of the bundle.

    Raises:
        BundleError: If there is no model, or it is not a valid bundle.
        UsageError: If the engine is unknown; on first use, if it cannot run on this machine, or if
            models that vote differ in task or labels.
        MissingExtraError: On first use, if the engine is not installed.
        ParityError: On first use, if the answers of the engine differ.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        max_pixels: int | None = None,
        max_bytes: int | None = None,
        engine: str = ONNX_RUNTIME,
    ) -> None:
        """Open and verify the bundle."""
        if engine != ONNX_RUNTIME:
            # Imported late: most models are run by ONNX Runtime.
            from foveal.predict.engines import check_engine

            check_engine(engine)
        first, *others = voters(model)
        found = find_model(first)
        self.bundle, self.run = found.bundle, found.run
        self.stored, self.exports_kept_in = found.stored, found.kept_in
        self._given = {"max_pixels": max_pixels, "max_bytes": max_bytes}
        self._engine = engine
        self._limits = replace(
            self.bundle.manifest.limits,
            hint="--max-{} N raises the limit",
            **{name: value for name, value in self._given.items() if value is not None},
        )

        self._others = [Model(other, **self._given, engine=engine) for other in others]

    def __repr__(self) -> str:
        """Return the name of the model, its task and its path."""
        if self._others:
            names = ", ".join(repr(model.bundle.name) for model in (self, *self._others))
            return f"Model({names} vote, task={self.task!r})"
        return f"Model({self.bundle.name!r}, task={self.task!r}, {from_here(self.bundle.path)})"

    def __reduce__(self) -> tuple[Callable[..., Model], tuple[str, dict[str, int | None], str]]:
        """Pickle the path of the run if there is one, or else of the bundle."""
        paths = [str(model.run or model.bundle.path) for model in (self, *self._others)]
        return _reopen, (",".join(paths), self._given, self._engine)

    def __getattr__(self, name: str) -> Any:
        """Raise an AttributeError that suggests the right name."""
        raise missing_attribute("model", "model", name, dir(type(self)))

    @property
    def task(self) -> str:
        """The task: `classify`, `read`, `segment`, or the task of a plug-in."""
        return self.bundle.manifest.task

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, or the alphabet of a reader, in the order of the outputs."""
        return self.bundle.task.labels.names

    @property
    def names(self) -> dict[int, str]:
        """Position → label, as in Ultralytics."""
        return dict(enumerate(self.labels))

    @property
    def metrics(self) -> dict[str, Interval]:
        """Validation metrics: floats that print as `97.5 % (95.5 to 98.6)`."""
        # Imported late: `foveal predict` needs no metrics.
        from foveal.metrics import Interval

        stored = self.bundle.manifest.metrics
        return {name: Interval.from_json(value) for name, value in stored.items()}

    def info(self) -> JsonObject:
        """Return a description: name, task, labels, input, metrics, engine, paths."""
        # Imported late: `foveal predict` needs none of that.
        from foveal.predict.facts import facts_of

        manifest, pipeline = self.bundle.manifest, self.bundle.pipeline
        engine = facts_of(self.predictor.engine)
        return {
            "name": self.bundle.name,
            "version": self.bundle.version,
            "task": self.task,
            "labels": list(self.labels),
            "backbone": manifest.backbone,
            "input": {"height": pipeline.height, "width": pipeline.width, "fit": pipeline.fit},
            "metrics": dict(self.metrics),
            "samples": manifest.data.get("samples"),
            "bytes": self.bundle.size_bytes,
            "created": manifest.created,
            "engine": None if engine is None else engine.to_json(),
            "bundle": str(self.bundle.path),
            "run": None if self.run is None else str(self.run),
            "exports": self.exports(),
            "stored": None if self.stored is None else str(self.stored),
        }

    @cached_property
    def predictor(self) -> Predictor:
        """Predictor of the bundle; the network is loaded on first use."""
        others = [other.predictor for other in self._others]
        own = Predictor(self.bundle, limits=self._limits, others=others)
        if self._engine == ONNX_RUNTIME:
            return own
        # Imported late: most models are run by ONNX Runtime.
        from foveal.predict.choice import bundle_for, choose

        engine = choose(own, self._engine)
        bundle = bundle_for(self.bundle, engine)
        return Predictor(bundle, engine=engine, limits=self._limits, others=others)

    @overload
    def predict(
        self,
        pictures: Any,
        *,
        stream: Literal[True],
        batch_size: int = ...,
        out: str | Path | None = ...,
        maps: bool = ...,
        verbose: bool = ...,
        progress: Progress | None = ...,
    ) -> Iterator[Answer]: ...
    # A path may be a picture or a folder, and an array a picture or a batch: no type can say.
    @overload
    def predict(
        self,
        pictures: str | PathLike[str] | NDArray[Any],
        *,
        stream: Literal[False] = ...,
        batch_size: int = ...,
        out: str | Path | None = ...,
        maps: bool = ...,
        verbose: bool = ...,
        progress: Progress | None = ...,
    ) -> Any: ...
    @overload
    def predict(
        self,
        pictures: bytes | bytearray | memoryview | PILImage.Image | BinaryIO,
        *,
        stream: Literal[False] = ...,
        batch_size: int = ...,
        out: str | Path | None = ...,
        maps: bool = ...,
        verbose: bool = ...,
        progress: Progress | None = ...,
    ) -> Answer: ...
    @overload
    def predict(
        self,
        pictures: Iterable[Any],
        *,
        stream: Literal[False] = ...,
        batch_size: int = ...,
        out: str | Path | None = ...,
        maps: bool = ...,
        verbose: bool = ...,
        progress: Progress | None = ...,
    ) -> Answers: ...
    @spelled
    def predict(
        self,
        pictures: PictureLike | Iterable[Any],
        *,
        stream: bool = False,
        batch_size: int = 32,
        out: str | Path | None = None,
        maps: bool = False,
        verbose: bool = True,
        progress: Progress | None = None,
    ) -> Answer | Answers | Iterator[Answer]:
        """Answer one or several pictures; `model(...)` is the same.

        One picture gives an `Answer`. A folder, a glob or a list gives `Answers`, in order. The
        answer to a picture that cannot be read has an `error`; the others are answered.

        Args:
            pictures: A path or URL, the bytes of a picture file, an open file, an array or tensor
                ((H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA; uint8, or floats in [0, 1]), a Pillow
                image, a folder, a glob, or a list, tuple or generator of any of these.
            stream: Return an iterator that answers lazily, for more pictures than fit in memory.
            batch_size: Number of pictures run through the network together; tiled pictures are run
                one by one.
            out: Folder for `<stem>.png` (the mask, if the model predicts masks) and
                `<stem>_overlay.jpg` (the answer drawn on the picture); their paths are added to the
                records. None writes nothing.
            maps: With `out`: also write the probability map of each label as `<stem>_<label>.png`,
                in grey levels from 0 to 255.
            verbose: Whether to show a progress bar for several pictures in a terminal or notebook.
            progress: Receives the progress instead of the progress bar.

        Raises:
            ImageError: If one picture is given and cannot be read.
            DataError: If a folder has no pictures, or a glob matches nothing.
            UsageError: If an argument is not a picture, `batch_size` is not a whole number from 1,
                `out` cannot be written to or contains the pictures themselves, or `maps` is given
                without `out`.

        Example:
            >>> model.predict("cat.jpg").label  # doctest: +SKIP
            'cat'
            >>> [answer.label for answer in model.predict(["cat.jpg", "dog.jpg"])]  # doctest: +SKIP
            ['cat', 'dog']
            >>> model.predict("photos/", out="answers").to_pandas()  # doctest: +SKIP
        """
        _check_count("batch_size", batch_size)
        one = is_one(pictures) and not stream
        if one and out is None and not maps:
            return answer_one(self.predictor, read_one(pictures))
        if one:
            verbose, given = False, iter([read_one(pictures)])
        else:
            given = read_each(pictures)
        if out is None and maps:
            raise UsageError(
                "Probability maps are written to a folder, so out is required.",
                hint='model.predict(pictures, out="answers", maps=True)',
            )
        reporting = _receiver(progress, verbose=verbose and not stream)
        if out is None:
            answers = answer_pictures(
                self.predictor,
                given if stream else list(given),
                batch_size=batch_size,
                progress=reporting,
            )
        else:
            # Imported late: it brings what draws.
            from foveal.predict.write import write_answers

            answers = write_answers(
                self.predictor,
                list(given),
                Path(out),
                maps=maps,
                batch_size=batch_size,
                progress=reporting,
            )
        if stream:
            return answers
        if not one:
            return Answers(answers)
        (answer,) = answers
        if answer.error is not None:
            raise answer.error
        return answer

    __call__ = predict

    @spelled
    def predict_on(
        self,
        on: str,
        pictures: PictureLike | Iterable[Any],
        out: str | Path,
        *,
        format: str | None = None,
        workers: int | None = None,
        batch_size: int = 32,
        progress: Progress | None = None,
        verbose: bool = True,
    ) -> AnswerFiles:
        """Answer many pictures on a Ray cluster, and write the answers to files.

        Repeating an interrupted call continues it: no picture is answered twice.

        Args:
            on: `ray:local` starts a cluster on this machine, `ray:auto` joins the cluster that it
                belongs to, and `ray://HOST` submits a job to another cluster and waits for it.
            pictures: Files, folders, globs, archives or URLs that every machine can read; only URLs
                for `ray://HOST`.
            out: Folder or URL for the files `part-000000.jsonl`, …, which hold one record per
                picture, in order; the record of a picture that cannot be read has an `error`.
            format: `jsonl` or `parquet`; None takes the extension of `out`, or else `jsonl`.
            workers: Number of actors, each on one core; None takes all cores.
            batch_size: Number of pictures run through the network together.
            progress: Receives the progress; for `ray://HOST`, the log of the job goes to the logger
                `foveal.cluster.sent` instead.
            verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
                given.

        Raises:
            MissingExtraError: If Ray, or a package that a URL needs, is not installed.
            UsageError: If there is no cluster, or `out` holds other answers or cannot be written
                to.
            DataError: If a folder has no pictures, or a machine cannot read it.

        Example:
            >>> files = model.predict_on("ray:local", "photos/", "answers")  # doctest: +SKIP
            >>> [record["label"] for record in files.records()]  # doctest: +SKIP
            ['cat', 'dog']
        """
        # Imported late: most models answer here.
        from foveal.cluster.predict import answer_on
        from foveal.cluster.shards import format_of
        from foveal.jobs.target import Target

        _check_count("batch_size", batch_size)
        _check_count("workers", workers)
        target, form = Target.parse(on), format_of(format, str(out))
        if target.kind == "ray" and not target.is_joined:
            from foveal.cluster.sent import answer_there

            options = {"format": form, "workers": workers, "batch_size": batch_size}
            options |= {"engine": None if self._engine == ONNX_RUNTIME else self._engine}
            listed = pictures if isinstance(pictures, (list, tuple)) else [pictures]
            return answer_there(
                target,
                [model.bundle for model in (self, *self._others)],
                [str(each) for each in listed],
                str(out),
                {**options, **self._given},
            )
        with shown_progress(progress, verbose=verbose) as reporting:
            return answer_on(
                target,
                [model.bundle for model in (self, *self._others)],
                list(read_each(pictures)),
                str(out),
                limits=self._limits,
                engine=self._engine,
                form=form,
                workers=workers,
                batch_size=batch_size,
                progress=reporting,
            )

    def predict_proba(
        self, pictures: Iterable[Any], *, batch_size: int = 32
    ) -> NDArray[np.float32]:
        """Return the calibrated probability of each class for several pictures.

        Args:
            pictures: As for `predict`; a single picture counts as a list of one.
            batch_size: Number of pictures run through the network together.

        Returns:
            (N, C) float32, in the order of `labels`.

        Raises:
            ImageError: If one of the pictures cannot be read.
            UsageError: If the task does not predict classes.
        """
        rows = []
        for answer in self.predict(pictures, stream=True, batch_size=batch_size):
            if (error := answer.error) is not None:
                # Not all messages name the picture, and it is one of many.
                message = about_picture(answer.source, error.message)
                raise unpacked({**error.packed(), "message": message}) from error
            rows.append(np.asarray(answer.probs))
        return np.array(rows, np.float32).reshape(len(rows), len(self.labels))

    @spelled
    def evaluate(
        self,
        data: str | Path | None = None,
        *,
        split: str | None = None,
        out: str | Path | None = None,
        label_regex: str | None = None,
        progress: Progress | None = None,
        verbose: bool = True,
        on: str | None = None,
        workers: int | None = None,
    ) -> Evaluation:
        """Evaluate the model on labelled data, with the same code that serves it.

        Args:
            data: Labelled data in any layout that training accepts, or `synth:KIND`; None takes the
                validation split of the training.
            split: Use only the part `train`, `val` or `test` of the data, if it has these parts.
            out: Folder for `report.html`, `metrics.json` and `predictions.csv`; None writes
                nothing.
            label_regex: Regular expression that finds the label in a file name: its group `text`,
                or else its first.
            progress: Receives the progress.
            verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
                given.
            on: `ray:local` starts a Ray cluster on this machine, `ray:auto` joins the cluster that
                it belongs to, and `ray://HOST` submits a job to another cluster, whose log goes to
                the logger `foveal.cluster.evaluate`; None answers in this process. Metrics and
                report are always computed in this process.
            workers: With `on`: number of actors, each on one core; None takes all cores.

        Raises:
            DataError: If there is no labelled picture that can be read.
            UsageError: If `data` is None and the run of the model is not available.

        Example:
            >>> evaluation = model.evaluate("held-out")  # doctest: +SKIP
            >>> evaluation.metrics["accuracy"]  # doctest: +SKIP
            97.5 % (95.5 to 98.6)
        """
        from foveal.workflow.measure import measure

        _check_count("workers", workers)
        elsewhere = None
        if on is not None:
            from foveal.cluster.evaluate import MeasureOn
            from foveal.jobs.target import Target

            target = Target.parse(on)
            bundles = tuple(model.bundle for model in (self, *self._others))
            elsewhere = partial(MeasureOn, target, bundles, self._limits, self._engine, workers)
        with shown_progress(progress, verbose=verbose) as reporting:
            return measure(
                self.predictor,
                data,
                run=self.run,
                split=split,
                out=Path(out) if out is not None else None,
                progress=reporting,
                label_regex=label_regex,
                elsewhere=elsewhere,
            )

    val = evaluate

    @spelled
    def explain(
        self, picture: PictureLike, *, label: str | None = None, method: str = "evidence"
    ) -> Explanation:
        """Explain the answer to a picture with a heat map.

        Args:
            picture: As for calling the model.
            label: Label or character to explain; None explains the whole answer (for a text, its
                alignment).
            method: `evidence` (the evidence map of the model itself) or `occlusion` (slower, but
                independent of the model's architecture).

        Raises:
            TargetError: If the model does not know the label.
            UsageError: If the method is unknown, or does not apply to the model.
        """
        from foveal.explain.evidence import explain_evidence, explain_occlusion

        methods = {"evidence": explain_evidence, "occlusion": explain_occlusion}
        if method not in methods:
            raise UsageError(f"Unknown method {method!r}. Expected one of: {', '.join(methods)}.")
        return methods[method](self.predictor, self._picture(picture), label)

    @spelled
    def export(
        self,
        to: str = "onnx",
        out: str | Path | None = None,
        *,
        int8: bool = False,
        fp16: bool = False,
        bf16: bool = False,
        with_app: bool = False,
        gpu: bool = False,
        without_pictures: bool = False,
        data: str | Path | None = None,
        progress: Progress | None = None,
        verbose: bool = True,
    ) -> Path | str:
        """Export the model to another format, and verify it in the runtime of that format.

        Args:
            to: Name of the format; `foveal export --list` shows them all.
            out: File or folder to write, or an fsspec URL such as `s3://models/photos`; None takes
                the name of the model with the extension of the format, in the working directory.
            int8: Quantise the network to 8-bit integers, calibrated on training pictures.
            fp16: Convert the network to half precision.
            bf16: Also calibrate the model for the engine `openvino-bf16`.
            with_app: Also write an app that contains the model.
            gpu: Export for machines with a GPU.
            without_pictures: Omit the validation pictures with which an app checks itself.
            data: Labelled pictures to verify the export on; None takes the validation split of the
                training.
            progress: Receives the progress.
            verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
                given.

        Returns:
            The path that was written, or the URL.

        Raises:
            UsageError: If the format is unknown or does not support an option, `out` cannot be
                written, or several models vote.
            MissingExtraError: If a package that the format needs is not installed.
            ParityError: If the answers of the export differ from those of the bundle; nothing is
                written then.
        """
        # Imported late: most models are not exported.
        from foveal.export.job import options_of
        from foveal.workflow.exports import export_model

        self.check_alone("exported")
        with shown_progress(progress, verbose=verbose) as reporting:
            return export_model(
                self.bundle,
                to,
                out,
                options=options_of(
                    int8=int8,
                    fp16=fp16,
                    bf16=bf16,
                    with_app=with_app,
                    gpu=gpu,
                    without_pictures=without_pictures,
                ),
                run=self.run,
                data=data,
                progress=reporting,
                kept_in=self.exports_kept_in,
            ).path

    def exports(self) -> list[JsonObject]:
        """Return the exports of the model and their verification, newest last.

        Each has the keys `to`, `precision`, `options` (names of the others that were given, such as
        `with_app`), `version` (of the bundle), `created`, `path`, `bytes` and `proof` (None if the
        network of the bundle itself was written). They are recorded in the run, or beside the
        version in the store; without either, the list is empty.

        Raises:
            StoreError: If the store cannot be reached.
            UsageError: If the record of the exports is damaged.
        """
        from foveal.workflow.exports import exports_of

        return exports_of(self.exports_kept_in)

    @spelled
    def save(self, path: str | Path) -> Path:
        """Write the model to one file, which `foveal.load` opens on any machine.

        Args:
            path: File to write, such as `photos.foveal`.

        Returns:
            The path that was written.

        Raises:
            UsageError: If `path` is a folder.
        """
        return Path(self.export("foveal", path))

    def push(
        self,
        name: str | None = None,
        *,
        store: Store | str | Path | None = None,
        parent: int | None = None,
        note: str = "",
        progress: Progress | None = None,
    ) -> StoredVersion:
        """Publish the model in a store as the next version of a name.

        If a test set is pinned there, the new version is evaluated on it.

        Args:
            name: Name in the store; None takes the model's own.
            store: Store, or its path or URL; None takes the environment variable `FOVEAL_STORE`, or
                else the folder `models`. `mlflow:URI` publishes in the MLflow registry at that URI.
            parent: Version to compare it with; None takes the current one.
            note: A remark that is stored with the version.
            progress: Receives the progress of the evaluation.

        Raises:
            UsageError: If several models vote, or the store cannot be written to.

        Example:
            >>> model.push("photos")  # doctest: +SKIP
            photos:1
        """
        from foveal.store.store import Store
        from foveal.workflow.versions import measure_with, push_model

        self.check_alone("published")
        if str(store).startswith("mlflow:"):
            from foveal.store.mlflow_registry import push_to_registry

            if parent is not None:
                raise UsageError(
                    "Versions in MLflow cannot have a parent.", hint="leave out --parent"
                )
            return push_to_registry(self.bundle, name or self.bundle.name, str(store), note=note)
        kept = store
        if not isinstance(kept, Store):
            kept = Store.open(kept, measure=measure_with(progress))
        return push_model(
            self.bundle,
            self.run or self.exports_kept_in,
            kept,
            name or self.bundle.name,
            parent=parent,
            note=note,
        )

    @spelled
    def serve(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: str | Path | None = None,
        insecure: bool = False,
        collect: str | Path | None = None,
    ) -> ServerHandle:
        """Serve the model and its web page from a thread, and return at once.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 chooses a free one.
            keys: As for `foveal.serve`.
            insecure: As for `foveal.serve`.
            collect: As for `foveal.serve`.

        Returns:
            A handle with `.url` and `.stop()`.

        Raises:
            UsageError: If other machines can reach the address and neither `keys` nor `insecure` is
                given.
        """
        from foveal.access import existing_keys_file
        from foveal.server.run import start_in_thread

        given = None if keys is None else Path(keys)
        file = None if insecure and keys is None else existing_keys_file(given)
        served = {self.bundle.name: self.predictor}
        return start_in_thread(
            served,
            host=host,
            port=port,
            keys=file,
            insecure=insecure,
            collect=None if collect is None else Path(collect),
        )

    def check_alone(self, done: str) -> None:
        """Raise a UsageError if several models vote; `done` is the verb of the message."""
        if self._others:
            raise UsageError(
                f"Several models that vote cannot be {done} together.",
                hint=f"use one of them: {from_here(self.run or self.bundle.path)}",
            )

    def history(self) -> list[dict[str, float]]:
        """Return one row for each epoch of the training; empty if the run is not available.

        Raises:
            DataError: If the run's `results.csv` is damaged.
        """
        from foveal.evaluate.history import read_history

        rows = () if self.run is None else read_history(self.run / "results.csv")
        # The last row of a run that was killed may lack columns.
        return [{k: float(v) for k, v in row.items() if v and _is_number(v)} for row in rows]

    def layers(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Return (name, type, output shape) of every layer of the network. Requires torch."""
        from foveal.explain.layers import list_layers

        return list_layers(self._network, self.bundle.pipeline.example_size)

    def features(self, picture: PictureLike, layer: str) -> NDArray[np.float32]:
        """Return the output of a layer for a picture, without the batch axis. Requires torch.

        Raises:
            UsageError: If the network has no such layer; the message suggests the closest name.
        """
        from foveal.explain.layers import layer_features

        pixels, _ = self.predictor.prepare(self._picture(picture))
        features: NDArray[np.float32] = layer_features(self._network, pixels[None], layer)[0]
        return features

    @cached_property
    def _network(self) -> Any:
        if "weights.safetensors" not in self.bundle.manifest.files:
            raise BundleError(
                f"{self.bundle.path} has no weights.safetensors, which is needed to inspect the "
                "layers."
            )
        from foveal.workflow.network import load_network

        return load_network(self.bundle)

    def _picture(self, picture: PictureLike) -> Picture:
        raster = open_given(self.predictor, read_one(picture))
        if not isinstance(raster, Picture):
            self.predictor.limits.check_size(raster.height, raster.width)
        return whole_picture(raster)

    def _repr_html_(self) -> str:
        from foveal.notebook import model_html

        return model_html(self.bundle, self.exports())


def shown_progress(progress: Progress | None, *, verbose: bool) -> AbstractContextManager[Progress]:
    """Yield the object that receives the progress, and end its task with the block."""
    return ended(_receiver(progress, verbose=verbose))


def _receiver(progress: Progress | None, *, verbose: bool) -> Progress:
    if progress is not None or not verbose:
        return progress or NoProgress()
    # Imported late: what draws bars takes longer to load than a small picture to answer.
    from foveal.progress import live_progress

    return live_progress()


def _check_count(name: str, value: int | None) -> None:
    if value is not None and not (isinstance(value, (int, np.integer)) and value >= 1):
        raise UsageError(f"Invalid {name}. Expected a whole number >= 1. Received: {value!r}.")


def _reopen(path: str, limits: dict[str, int | None], engine: str) -> Model:
    return Model(path, **limits, engine=engine)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
