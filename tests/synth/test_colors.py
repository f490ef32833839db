from random import Random

from foveal.synth.chance import any_color, dark_ink, light_paper


def test_ink_is_far_darker_than_paper() -> None:
    rng = Random(0)
    for _ in range(500):
        # Paper is drawn about a brightness from 195 on, each channel up to 18 off.
        assert sum(dark_ink(rng)) / 3 <= 115 < 195 - 18 <= min(light_paper(rng))


def test_colors_are_bytes() -> None:
    rng = Random(0)
    for choose in (dark_ink, light_paper, any_color):
        assert all(0 <= part <= 255 for _ in range(500) for part in choose(rng))
