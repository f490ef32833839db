"""Contract tests for plug-ins.

Each function raises an `AssertionError` that states the violated contract. foveal's own parts pass
the same tests. Nothing else in foveal imports this package; tests of training require the `train`
extra.

    from foveal.testing import check_backbone

    def test_backbone() -> None:
        check_backbone("my_backbone")
"""

from foveal.testing.backbones import check_backbone
from foveal.testing.parts import check_check, check_export, check_synth
from foveal.testing.tasks import check_task

__all__ = ["check_backbone", "check_check", "check_export", "check_synth", "check_task"]
