from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveal.bundle import Bundle
from foveal.bundle.container import TRAINED_ON_NAME
from foveal.bundle.trained_on import TrainedOn
from foveal.data.source import Loaded, Sample, Source, digest_of
from foveal.errors import DataError, ImageError, MissingExtraError
from foveal.evaluate import Evaluation, MeasureOptions, evaluate_bundle
from foveal.evaluate.report import marked
from foveal.predict import Predictor
from foveal.types import Finding, Picture

DARK, BRIGHT = 40, 220


@dataclass(frozen=True, kw_only=True)
class DrawnSource(Source):
    """Flat grey pictures: what the brightness model calls a circle when dark, else a square."""

    greys: dict[str, int | None]
    samples: tuple[Sample, ...]
    location: str = "memory"
    layout: str = "drawn"
    findings: tuple[Finding, ...] = ()
    loads: list[str] = field(default_factory=list)
    alive: list[int] = field(default_factory=list)

    def load(self, sample: Sample, limits: Any, min_size: tuple[int, int] | None = None) -> Loaded:
        self.loads.append(sample.id)
        grey = self.greys[sample.id]
        if grey is None:
            raise ImageError(f"{sample.id} is damaged.")
        pixels = np.full((20, 30, 3), grey, np.uint8)
        return Loaded(Picture.from_array(pixels), content_of(grey))


def content_of(grey: int) -> bytes:
    """Return what stands for the file of a picture."""
    return grey.to_bytes(16, "little")


def draw(*pictures: tuple[str, int | None, tuple[str, ...] | None], **more: Any) -> DrawnSource:
    return DrawnSource(
        greys={name: grey for name, grey, _ in pictures},
        samples=tuple(Sample(name, raw) for name, _, raw in pictures),
        **more,
    )


def many(right: int, wrong: int) -> DrawnSource:
    pictures = [(f"right{i}.png", DARK + i % 9, ("circle",)) for i in range(right)]
    pictures += [(f"wrong{i}.png", BRIGHT + i % 9, ("circle",)) for i in range(wrong)]
    return draw(*pictures)


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Bundle) -> Predictor:
    return Predictor(tiny_bundle, threads=1)


FAST = MeasureOptions(batch_size=4, resamples=100, timed=3)


def test_metrics_are_those_of_the_answers_with_intervals_around_them(predictor: Predictor) -> None:
    evaluation = evaluate_bundle(predictor, many(right=18, wrong=2), options=FAST)

    values = evaluation.to_json()
    assert values["schema_version"] == 1
    assert (values["task"], values["samples"], values["correct"]) == ("classify", 20, 18)
    assert {"accuracy", "macro_f1", "precision", "recall", "ece"} <= set(values["metrics"])
    accuracy = values["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx(0.9)
    # Wilson for 18 of 20.
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((0.6990, 0.9721), abs=1e-4)
    # circle: precision 1, recall 0.9; square is answered twice, never right.
    assert values["metrics"]["precision"]["value"] == pytest.approx(0.5)
    assert values["metrics"]["recall"]["value"] == pytest.approx(0.45)


def test_pictures_that_were_trained_on_are_counted_first(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    digests = b"".join(digest_of(content_of(DARK + i))[:8] for i in range(3))
    content = np.sort(np.frombuffer(digests, "<u8"))
    known = TrainedOn(content, np.zeros(3, np.uint64))
    files = {"model.onnx": tiny_bundle.model_bytes(), TRAINED_ON_NAME: known.to_bytes()}
    bundle = Bundle.write(tmp_path / "seen", tiny_bundle.manifest, files)

    evaluation = evaluate_bundle(Predictor(bundle, threads=1), many(right=5, wrong=2), options=FAST)

    assert evaluation.trained_on is not None
    assert evaluation.trained_on.tolist() == [True] * 3 + [False] * 4
    first = evaluation.findings[0]
    assert (first.id, first.count) == ("evaluate.trained_on", 3)
    assert first.samples == ("right0.png", "right1.png", "right2.png")
    assert first.message.startswith("3 of 7 were trained on")
    assert evaluation.to_json()["trained_on"] == 3
    assert first.message in evaluation.to_html()
    evaluation.write(tmp_path / "report")
    with (tmp_path / "report" / "predictions.csv").open() as file:
        assert [row["trained_on"] for row in csv.DictReader(file)] == list("1110000")


def test_a_bundle_that_does_not_say_what_it_was_trained_on_claims_nothing(
    predictor: Predictor,
) -> None:
    evaluation = evaluate_bundle(predictor, many(right=2, wrong=1), options=FAST)
    assert evaluation.trained_on is None and evaluation.warning is None
    assert evaluation.to_json()["trained_on"] is None


def test_what_cannot_be_measured_is_counted_and_listed_not_scored(predictor: Predictor) -> None:
    source = draw(
        ("good.png", DARK, ("circle",)),
        ("broken.png", None, ("circle",)),
        ("stranger.png", DARK, ("hexagon",)),
        ("bare.png", DARK, None),
    )

    evaluation = evaluate_bundle(predictor, source, options=FAST)

    failures = evaluation.to_json()["failures"]
    assert evaluation.samples == 1
    assert failures["count"] == 3
    assert failures["codes"] == {"image_unreadable": 1, "target_invalid": 1, "unlabelled": 1}
    assert [f["sample"] for f in failures["listed"]] == ["broken.png", "stranger.png", "bare.png"]
    assert {f.id for f in evaluation.findings} >= {
        "evaluate.image_unreadable",
        "evaluate.target_invalid",
        "evaluate.unlabelled",
    }


def test_a_picture_of_an_unknown_label_is_not_even_decoded(predictor: Predictor) -> None:
    source = draw(("good.png", DARK, ("circle",)), ("stranger.png", DARK, ("hexagon",)))

    evaluate_bundle(predictor, source, options=FAST)

    assert "stranger.png" not in source.loads


def test_nothing_measurable_is_an_error_that_says_why(predictor: Predictor) -> None:
    source = draw(("stranger.png", DARK, ("hexagon",)))

    with pytest.raises(DataError, match=r"None of the 1 samples.*hexagon"):
        evaluate_bundle(predictor, source, options=FAST)


def test_an_empty_source_is_an_error(predictor: Predictor) -> None:
    with pytest.raises(DataError, match="no pictures to evaluate in memory"):
        evaluate_bundle(predictor, draw(), options=FAST)


def test_answers_keep_the_order_of_the_source_whatever_the_threads_do(
    predictor: Predictor,
) -> None:
    source = many(right=23, wrong=14)

    evaluation = evaluate_bundle(predictor, source, options=FAST)

    assert [s.id for s in evaluation.measured.samples] == [s.id for s in source.samples]
    assert evaluation.correct.tolist() == [True] * 23 + [False] * 14


def test_only_the_samples_asked_for_are_measured(predictor: Predictor) -> None:
    source = many(right=6, wrong=3)

    evaluation = evaluate_bundle(predictor, source, samples=source.samples[4:8], options=FAST)

    assert [s.id for s in evaluation.measured.samples] == [s.id for s in source.samples[4:8]]


def test_the_batch_size_does_not_change_the_result(predictor: Predictor) -> None:
    one = evaluate_bundle(predictor, many(9, 4), options=replace(FAST, batch_size=1))
    all_at_once = evaluate_bundle(predictor, many(9, 4), options=replace(FAST, batch_size=64))

    assert one.metrics == all_at_once.metrics
    assert one.confidence == pytest.approx(all_at_once.confidence)


def test_the_surest_mistakes_come_first_and_every_class_has_its_best(
    predictor: Predictor,
) -> None:
    source = draw(
        ("little.png", 140, ("circle",)),
        ("very.png", 250, ("circle",)),
        ("dark1.png", 5, ("circle",)),
        ("dark2.png", 10, ("circle",)),
        ("bright.png", 180, ("square",)),
    )

    evaluation = evaluate_bundle(predictor, source, options=replace(FAST, best=2))

    assert [example.sample for example in evaluation.worst] == ["very.png", "little.png"]
    assert [example.sample for example in evaluation.best] == ["dark1.png", "bright.png"]
    worst = evaluation.worst[0]
    assert (worst.target, worst.picture[:4]) == ("circle", b"\x89PNG")
    assert worst.answer.startswith("square")
    ((words, drawn),) = worst.beside
    assert words == "what speaks for the answer" and drawn != worst.picture


def test_one_picture_under_two_labels_is_a_finding(predictor: Predictor) -> None:
    source = draw(("a.png", DARK, ("circle",)), ("b.png", DARK, ("square",)))

    findings = {f.id: f for f in evaluate_bundle(predictor, source, options=FAST).findings}

    assert findings["evaluate.two_labels"].samples == ("a.png", "b.png")


def test_overconfidence_is_a_finding_and_honesty_is_none(predictor: Predictor) -> None:
    wrong = evaluate_bundle(predictor, many(right=10, wrong=40), options=FAST)
    right = evaluate_bundle(predictor, many(right=50, wrong=0), options=FAST)

    assert "evaluate.overconfident" in {f.id for f in wrong.findings}
    assert "evaluate.overconfident" not in {f.id for f in right.findings}


@pytest.mark.parametrize(
    ("count", "words"), [(1, "Only 1 picture was measured"), (2, "Only 2 pictures were measured")]
)
def test_an_evaluation_of_few_pictures_says_so(
    predictor: Predictor, count: int, words: str
) -> None:
    found = evaluate_bundle(predictor, many(right=count, wrong=0), options=FAST).findings

    assert words in next(f for f in found if f.id == "evaluate.few_pictures").message


def test_groups_are_measured_by_themselves_the_surest_weakness_first(
    predictor: Predictor,
) -> None:
    source = many(right=12, wrong=4)
    names = ["ann"] * 10 + ["bob"] * 6
    named = zip(source.samples, names, strict=True)
    source = replace(source, samples=tuple(replace(s, group=name) for s, name in named))

    groups = evaluate_bundle(predictor, source, options=FAST).groups

    assert [(g["group"], g["samples"], g["correct"]) for g in groups] == [
        ("bob", 6, 2),
        ("ann", 10, 10),
    ]
    assert groups[0]["accuracy"] == pytest.approx(1 / 3)


def test_unsure_answers_are_counted_and_the_others_scored(predictor: Predictor) -> None:
    source = draw(
        ("sure.png", 0, ("circle",)),
        ("sure2.png", 255, ("square",)),
        ("half.png", 127, ("circle",)),
    )

    certainty = evaluate_bundle(predictor, source, options=FAST).certainty

    assert (certainty["unsure"], certainty["unsure_below"]) == (1, 0.6)
    assert certainty["coverage"] == pytest.approx(2 / 3)
    assert certainty["accuracy_when_sure"]["value"] == 1.0
    assert sum(b["count"] for b in certainty["reliability"]) == 3


def test_latency_is_measured_on_as_many_pictures_as_asked(predictor: Predictor) -> None:
    evaluation = evaluate_bundle(predictor, many(9, 0), options=FAST)

    assert evaluation.latency is not None
    assert evaluation.latency.pictures == 3
    assert 0 < evaluation.latency.p50_ms <= evaluation.latency.p95_ms


@pytest.fixture
def written(predictor: Predictor, tmp_path: Path) -> Path:
    evaluation = evaluate_bundle(predictor, many(right=18, wrong=2), options=FAST)
    results = tmp_path / "results.csv"
    results.write_text(
        "epoch,stage,train_loss,val_accuracy,best\n1,full,0.9,0.5,0\n2,full,0.4,,1\n"
    )
    evaluation.write(tmp_path / "out", results=results)
    return tmp_path / "out"


def test_metrics_json_is_strict_json_and_what_the_command_prints(written: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    values = json.loads((written / "metrics.json").read_text(), parse_constant=refuse)

    assert values["samples"] == 20
    assert values["details"]["confusion"]["counts"] == [[18, 2], [0, 0]]


def test_predictions_csv_has_a_row_a_picture_and_a_column_a_label(written: Path) -> None:
    with (written / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert list(rows[0]) == [
        *("image", "target", "prediction", "confidence", "unsure", "correct"),
        "trained_on",
        *("score:circle", "score:square"),
    ]
    assert [row["correct"] for row in rows] == ["1"] * 18 + ["0"] * 2
    assert rows[0]["prediction"] == "circle"
    assert rows[-1]["prediction"] == "square"
    assert float(rows[0]["score:circle"]) + float(rows[0]["score:square"]) == pytest.approx(
        1, abs=1e-4
    )


def test_the_report_needs_nothing_from_outside(written: Path) -> None:
    page = (written / "report.html").read_text()

    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "prefers-color-scheme: dark" in page
    assert "90.0\u00a0%" in page or "90.0<small>" in page
    assert page.count("<img") == 2 * (2 + 8)
    assert "The weights of epoch 2 are kept." in page


def test_names_from_the_data_cannot_inject_markup(tiny_bundle: Bundle) -> None:
    evil = "<script>alert(1)</script>"
    manifest = replace(tiny_bundle.manifest, labels=(evil, "square"))
    predictor = Predictor(Bundle(tiny_bundle.path, manifest, "0" * 12), threads=1)
    source = draw((f"{evil}.png", DARK, (evil,)), ("b.png", BRIGHT, (evil,)), location=evil)

    page = evaluate_bundle(predictor, source, options=FAST).to_html()

    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5


def test_a_notebook_shows_the_report_in_a_frame_of_its_own(predictor: Predictor) -> None:
    shown = evaluate_bundle(predictor, many(3, 1), options=FAST)._repr_html_()

    assert shown.startswith("<iframe")
    assert shown.count("<") == 2


def test_show_without_ipython_says_what_to_do(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "IPython.display", None)
    evaluation = evaluate_bundle(predictor, many(3, 1), options=FAST)

    with pytest.raises(MissingExtraError, match="IPython") as caught:
        evaluation.show()

    assert "[notebook]" in str(caught.value.hint)


def test_progress_is_told_of_every_sample(predictor: Predictor) -> None:
    heard: list[Any] = []

    class Listening:
        def start(self, title: str, total: int | None) -> None:
            heard.append(total)

        def update(self, done: int, fields: dict[str, str] | None = None) -> None:
            heard.append(done)

        def finish(self) -> None:
            heard.append("finished")

    evaluate_bundle(predictor, many(5, 1), options=FAST, progress=Listening())

    assert heard == [6, 4, 6, "finished", None, "finished"]


def test_multi_label_bundles_are_measured_label_by_label(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    manifest = replace(tiny_bundle.manifest, task_options={"multi_label": True})
    predictor = Predictor(Bundle(tiny_bundle.path, manifest, "0" * 12), threads=1)
    source = draw(
        ("a.png", DARK, ("circle",)),
        ("b.png", BRIGHT, ("square",)),
        ("c.png", BRIGHT, ("circle", "square")),
        ("d.png", DARK, ()),
    )

    evaluation = evaluate_bundle(predictor, source, options=FAST)
    evaluation.write(tmp_path)

    values: Evaluation = evaluation
    assert values.metrics["accuracy"].value == 0.5
    # circle: 1 of 2 answers right, 1 of 2 found; square: 2 of 2, so F1 = (1/2 + 1) / 2.
    assert values.metrics["macro_f1"].value == pytest.approx((0.5 + 1.0) / 2)
    assert values.metrics["label_accuracy"].value == pytest.approx(6 / 8)
    assert "average precision" in (tmp_path / "report.html").read_text()


def test_memory_holds_no_picture_after_its_batch(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    alive: list[weakref.ref[Any]] = []
    most: list[int] = []
    prepare: Callable[..., Any] = Predictor.prepare

    def counting(self: Predictor, picture: Picture) -> Any:
        pixels, frame = prepare(self, picture)
        alive.append(weakref.ref(pixels))
        return pixels, frame

    class Watching:
        def start(self, title: str, total: int | None) -> None: ...

        def update(self, done: int, fields: dict[str, str] | None = None) -> None:
            gc.collect()
            most.append(sum(reference() is not None for reference in alive))

        def finish(self) -> None: ...

    monkeypatch.setattr(Predictor, "prepare", counting)
    evaluate_bundle(predictor, many(60, 0), options=FAST, progress=Watching())

    # The batch at hand and at most two that wait.
    assert max(most) <= 3 * FAST.batch_size


def test_words_with_colours_are_html_with_marks() -> None:
    assert marked("#009e73 right, a < b") == (
        '<span class="mark"><i style="background:#009e73"></i>right</span>, a &lt; b'
    )
    assert marked("truth") == "truth"
