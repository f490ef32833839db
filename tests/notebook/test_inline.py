import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from colored import draw_blocks
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal import notebook
from foveal.bundle import Bundle
from foveal.errors import UsageError
from foveal.model import Model

DARK = np.full((16, 16, 3), 20, np.uint8)


def pictures_in(html: str) -> list[PILImage.Image]:
    coded = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [PILImage.open(io.BytesIO(base64.b64decode(text))) for text in coded]


def test_an_answer_shows_the_picture_its_reason_and_the_scores(tiny_bundle: Bundle) -> None:
    html = Model(tiny_bundle.path)(DARK)._repr_html_()

    picture, overlay = pictures_in(html)
    assert picture.size == overlay.size == (16, 16)
    assert np.array_equal(np.asarray(picture), DARK)
    assert "circle" in html
    assert "<svg" in html


def test_a_reading_shows_its_alignment_at_its_own_size_and_each_character(
    tiny_reader: Bundle,
) -> None:
    answer = Model(tiny_reader.path)(draw_blocks("A?C"))
    html = answer._repr_html_()

    picture, alignment = pictures_in(html)
    assert picture.size == (48, 16)
    assert alignment.size == (answer.overlay.shape[1], answer.overlay.shape[0])
    widths = [int(width) for width in re.findall(r'<img [^>]*width="(\d+)"', html)]
    # A small picture is shown larger, a large drawing smaller.
    assert widths == [128, 560]
    assert re.findall(r'title="(.): ([^"]+) %"', html) == [
        ("A", "100.0"),
        ("B", "48.2"),
        ("C", "100.0"),
    ]
    assert f"<strong>{answer.headline}</strong>" in html
    assert answer.headline.startswith("unsure: ABC ")
    assert "unsure about this picture" in html


def test_a_picture_without_text_and_a_value_are_shown_too(
    tiny_reader: Bundle, tiny_sums: Bundle
) -> None:
    nothing = Model(tiny_reader.path)(draw_blocks("  "))._repr_html_()
    assert "nothing 92.3 %" in nothing
    assert len(pictures_in(nothing)) == 2
    assert "10/1 = 10" in Model(tiny_sums.path)(draw_blocks("10/1", "/01"))._repr_html_()


def test_a_reader_shows_its_alphabet_and_input(tiny_reader: Bundle) -> None:
    html = Model(tiny_reader.path)._repr_html_()

    for text in ("alphabet", ">ABC<", "16 px high, up to 256 px wide", "exact_match"):
        assert text in html


def test_a_model_shows_its_task_labels_input_and_version(tiny_bundle: Bundle) -> None:
    html = Model(tiny_bundle.path)._repr_html_()

    for text in ("classify", "circle, square", "16 x 16 px", tiny_bundle.version):
        assert text in html


def test_names_cannot_inject_markup() -> None:
    html = notebook.layers_html([("<script>", "A&B", (3, 4, 4))])

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "3 x 4 x 4" in html


def test_a_terminal_shows_layers_as_text() -> None:
    class Two:
        run = None

        def layers(self) -> list[tuple[str, str, tuple[int, ...]]]:
            return [("stem", "Conv2d", (8, 16, 16)), ("层", "ReLU", (8,))]

        def features(self, picture: object, layer: str) -> NDArray[np.float32]:
            return np.zeros((2, 4, 4), np.float32)

    assert repr(notebook.layers(Two())) == (
        "layer  type    output\nstem   Conv2d  8 x 16 x 16\n层     ReLU    8"
    )
    assert repr(notebook.features(Two(), "any.png", "stem")).startswith("stem: 2 x 4 x 4.")
    assert repr(notebook.curves(Two())) == "Learning curves are drawn in notebooks."


def test_curves_hold_losses_and_metrics(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(
        "epoch,stage,seconds,train_loss,val_accuracy,best\n1,all,1.0,0.9,0.5,0\n2,all,1.0,0.4,0.75,1\n"
    )

    html = notebook.history_html(tmp_path)

    assert html.count("<svg") == 2
    assert "train loss" in html or "Loss" in html
    assert "2 epochs" in html


def test_a_model_without_its_run_says_that_there_are_no_curves(tiny_bundle: Bundle) -> None:
    assert "not available" in notebook.curves(Model(tiny_bundle.path)).html


def test_features_show_the_most_varied_channels_first() -> None:
    flat = np.zeros((4, 4), np.float32)
    strong = np.arange(16, dtype=np.float32).reshape(4, 4)
    features = np.stack([flat, strong, 0.1 * strong])

    html = notebook.features_html(features, limit=2)
    two, three = (notebook.features_figure(features, limit=n) for n in (2, 3))

    assert "2 of 3 channels" in html
    assert pictures_in(html)[0].size == (two.shape[1], two.shape[0])
    # The first two cells are the same whether or not the flat channel follows.
    assert np.array_equal(two[:100, :200], three[:100, :200])
    assert two.shape[1] < three.shape[1]


def test_features_without_maps_are_refused_with_what_was_expected() -> None:
    with pytest.raises(UsageError, match=r"Expected features \(C, H, W\).*\(128,\)"):
        notebook.features_figure(np.zeros(128, np.float32))
