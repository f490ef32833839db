import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveal.cli.main import run
from foveal.errors import DataError
from foveal.synth.expressions import HAN
from foveal.types import Finding, JsonObject
from foveal.workflow import doctor

HEALTHY: JsonObject = {
    "memory_bytes": 8 * 1024**3,
    "torch": {"version": "2.13", "cuda": []},
    "plugins": [],
}


def test_little_memory_is_a_warning() -> None:
    found = doctor.diagnose({**HEALTHY, "memory_bytes": 1024**3})
    assert [f.id for f in found if f.severity == "warning"] == ["machine.memory"]


def test_a_healthy_installation_has_no_errors_and_counts_its_fonts() -> None:
    found = doctor.diagnose(HEALTHY)
    assert [f.id for f in found if f.severity == "error"] == []
    assert "fonts.found" in [f.id for f in found]


def test_a_missing_chinese_font_is_said_with_the_command_that_installs_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_chinese(characters: str) -> list[Path]:
        if characters == HAN:
            raise DataError("No font.", hint="apt-get install fonts-noto-cjk")
        return [Path("DejaVuSans.ttf")]

    monkeypatch.setattr(doctor, "find_fonts", without_chinese)
    found = {f.id: f for f in doctor.diagnose(HEALTHY)}
    assert found["fonts.found"].message == "1 fonts to draw letters with."
    assert found["fonts.chinese"].severity == "info"
    assert found["fonts.chinese"].message.startswith("No Chinese font, so `foveal synth formula`")
    assert found["fonts.chinese"].hint == "apt-get install fonts-noto-cjk"


def test_chinese_fonts_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_fonts", lambda characters: [Path("a.ttc"), Path("b.ttc")])
    found = {f.id: f for f in doctor.diagnose(HEALTHY)}
    assert found["fonts.chinese"].message == "Chinese fonts for `foveal synth formula`: 2."


def test_a_check_that_fails_is_itself_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: JsonObject) -> Iterator[Finding]:
        raise OSError("the disk is gone")

    monkeypatch.setattr(doctor, "CHECKS", {"disk.space": broken})
    found = doctor.diagnose(HEALTHY)
    assert [(f.id, f.severity) for f in found] == [("disk.space", "error")]
    assert "the disk is gone" in found[0].message


def test_doctor_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert set(value) == {"schema_version", "environment", "findings"}
    assert value["environment"]["cores"] >= 1
