"""Named pipes and devices given for data, models and pictures are refused, not waited for."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.picture_file import read_file
from foveal.special import special_kind


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    return path


def test_what_is_special_is_said(tmp_path: Path, pipe: Path) -> None:
    assert special_kind(pipe) == "a named pipe"
    assert special_kind(Path("/dev/zero")) == "a device"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert special_kind(tmp_path / "socket") == "a socket"
    assert special_kind(tmp_path) is None
    assert special_kind(tmp_path / "nothing") is None
    assert special_kind(tmp_path / "x\0y") is None


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["predict", "MODEL", "PIPE"], 1),
        (["predict", "PIPE", "PICTURE"], 4),
        (["predict", "/dev/zero", "PICTURE"], 4),
        (["predict", "MODEL", "/dev/zero"], 1),
        (["predict", "FOLDER", "PICTURE"], 4),
        (["check", "PIPE"], 3),
        (["check", "/dev/zero"], 3),
        (["evaluate", "MODEL", "PIPE"], 3),
    ],
)
def test_every_command_refuses_it(
    command: list[str],
    status: int,
    pipe: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(tiny_bundle.path, folder)
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    named = {"MODEL": tiny_bundle.path, "PIPE": pipe, "FOLDER": folder, "PICTURE": "x.png"}

    assert run([str(named.get(word, word)) for word in command]) == status

    printed = capsys.readouterr()
    said = printed.err + printed.out
    assert "a named pipe" in said or "a device" in said
    assert "bug" not in said


def test_what_a_shell_pipes_into_a_command_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"picture")
    os.close(writing)
    try:
        assert read_file(Path(f"/dev/fd/{reading}"), DEFAULT_LIMITS) == b"picture"
    finally:
        os.close(reading)


def test_a_pipe_among_pictures_is_a_finding(
    tmp_path: Path, draw_folder: object, capsys: pytest.CaptureFixture[str]
) -> None:
    root = draw_folder(tmp_path / "photos", n=3)  # type: ignore[operator]
    os.mkfifo(root / "circle" / "pipe.png")
    run(["check", str(root)])
    said = capsys.readouterr()
    assert "pipe.png" in said.out + said.err
