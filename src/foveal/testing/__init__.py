"""The contracts of what can be added to foveal, as functions for the tests of a plug-in.

Each raises `AssertionError` with the promise that is not kept. foveal's own parts pass the same.
Nothing else in foveal imports this package; training ones need the `train` extra.

    from foveal.testing import check_backbone

    def test_backbone() -> None:
        check_backbone("my_backbone")
"""

from foveal.testing.backbones import check_backbone
from foveal.testing.parts import check_check, check_export, check_synth
from foveal.testing.tasks import check_task

__all__ = ["check_backbone", "check_check", "check_export", "check_synth", "check_task"]
