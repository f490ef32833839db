import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer

import foveal
from foveal.cli.main import VERBS, run
from foveal.errors import BundleError, DataError, FovealError, TrainingInterrupted
from foveal.export.formats import FORMATS
from foveal.registry import Registry
from foveal.synth import KINDS
from foveal.tasks import TASKS


def raising(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([verb, "--help"]) == 0
    return capsys.readouterr().out


def modules_after(*argv: str) -> set[str]:
    """Return the modules that are loaded after a command, in a process of its own."""
    code = (
        "import sys\n"
        "from foveal.cli.main import run\n"
        "status = run(sys.argv[1:])\n"
        "sys.stderr.write('\\n'.join(['MODULES', *sys.modules]))\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True
    )
    return set(done.stderr.partition("MODULES\n")[2].split("\n"))


def test_no_arguments_list_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert [verb for verb in VERBS if verb not in shown] == []


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"foveal {foveal.__version__}\n"


@pytest.mark.parametrize("name", VERBS)
def test_the_list_of_verbs_says_what_the_verb_says_of_itself(name: str) -> None:
    entry = getattr(import_module(VERBS[name].module), name)
    said = entry.info.help if isinstance(entry, typer.Typer) else entry.__doc__
    assert said.splitlines()[0] == VERBS[name].summary


_GROUPS = {
    "jobs": ("list", "show", "logs", "stop", "fetch"),
    "models": ("backbones",),
    "keys": ("create", "list", "revoke"),
}


@pytest.mark.parametrize(
    "verb",
    [
        *(verb for verb in VERBS if verb not in _GROUPS),
        *(f"{group} {verb}" for group, verbs in _GROUPS.items() for verb in verbs),
    ],
)
def test_every_verb_has_json_quiet_and_debug(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert [option for option in ("--json", "--quiet", "--debug") if option not in shown] == []


def test_the_list_of_verbs_loads_nothing_heavy() -> None:
    heavy = {"numpy", "PIL", "torch", "onnxruntime", "matplotlib", "uvloop", "foveal.api"}
    assert modules_after("--help") & heavy == set()


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["trian"], "Unknown verb 'trian'. Did you mean 'train'?", "foveal --help"),
        (["train", "--epoch", "3"], "--epochs", "foveal train --help"),
        (["train", "x", "--quality"], "requires an argument", "foveal train --help"),
        (["check"], "DATA", "foveal check --help"),
        (["synth", "letters", "--out", "x", "--count", "many"], "--count", "foveal synth --help"),
        (["predict", "m", "p", "--csv", "--json"], "cannot be used together", None),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    argv: list[str], message: str, hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    streams = capsys.readouterr()
    lines = streams.err.splitlines()
    assert streams.out == ""
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert lines[1:] == ([f"hint: {hint}"] if hint else [])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FovealError("It failed.", hint="try this"), 1),
        (DataError("The folder is empty.", hint="try this"), 3),
        (BundleError("There is no bundle.", hint="try this"), 4),
    ],
)
def test_an_error_of_foveal_gives_its_line_its_hint_and_its_status(
    error: FovealError,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(foveal, "check", raising(error))
    assert run(["check", "photos", "--quiet"]) == status
    assert capsys.readouterr().err == f"error: {error.message}\nhint: try this\n"


def test_an_unexpected_error_says_that_it_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(foveal, "check", raising(ZeroDivisionError("division\nby zero")))
    assert run(["check", "photos", "--quiet"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: ZeroDivisionError: division by zero"
    assert lines[1].startswith("hint: this is a bug in foveal; run the command again with --debug")
    assert len(lines) == 2


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(foveal, "check", raising(DataError("The folder is empty.")))
    assert run(["check", "photos", "--quiet", "--debug"]) == 3
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert shown.endswith("error: The folder is empty.\n")


def test_interrupting_a_training_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_path = Path("runs/classify/photos-2")
    monkeypatch.setattr(foveal, "train", raising(TrainingInterrupted(run_path)))
    assert run(["train", "photos", "--quiet"]) == 130
    shown = capsys.readouterr().err
    assert "interrupted; nothing is lost" in shown
    assert "hint: to continue: foveal train --resume runs/classify/photos-2\n" in shown


def test_interrupting_anything_else_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(foveal, "check", raising(KeyboardInterrupt()))
    assert run(["check", "photos", "--quiet"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


@pytest.mark.parametrize("on_interrupt", [signal.default_int_handler, signal.SIG_IGN])
def test_a_scheduler_that_ends_a_training_interrupts_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_interrupt: Any
) -> None:
    def ended(*_: object, **__: object) -> NoReturn:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise TrainingInterrupted(Path("runs/read/plates")) from None
        raise AssertionError("SIGTERM did not interrupt")

    monkeypatch.setattr(foveal, "train", ended)
    # A shell script has it ignored by what it starts in the background.
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        assert run(["train", "photos", "--quiet"]) == 143
    finally:
        signal.signal(signal.SIGINT, before)
    assert "--resume runs/read/plates" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "error: No space left on device"),
        (OSError(5, "Input/output error", "a.png"), "error: Input/output error: a.png"),
        (MemoryError(), "error: This machine does not have enough memory."),
        (
            ImportError("x.so: failed to map segment from shared object"),
            "error: This machine does not have enough memory.",
        ),
        (
            RuntimeError("can't start new thread"),
            "error: This machine does not have enough memory.",
        ),
    ],
)
def test_what_the_system_refuses_is_no_bug(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    line: str,
) -> None:
    monkeypatch.setattr(foveal, "check", raising(error))
    assert run(["check", "photos", "--quiet"]) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines()[0] == line
    assert "bug" not in shown


def test_a_reader_that_leaves_early_is_no_error() -> None:
    # `head -1` closes the pipe after one line; without care Python prints a traceback.
    done = subprocess.run(
        f"{sys.executable} -m foveal doctor | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("foveal ")
    assert done.stderr == ""


def test_a_python_without_what_foveal_needs_is_named() -> None:
    # As where a job is started by another `python` than the one with the packages; without `site`
    # there are none.
    packages = str(Path(foveal.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-m", "foveal", "--version"],
        env={"PYTHONPATH": packages},
        capture_output=True,
        text=True,
        check=False,
    )
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert first.startswith("error: foveal needs the module ")
    assert first.endswith(f", which this Python does not have ({sys.executable}).")
    assert second.startswith("hint: pip install foveal")


@pytest.mark.parametrize("verb", ["train", "check", "synth", "export"])
def test_only_help_looks_for_plugins(verb: str) -> None:
    code = (
        "import sys\n"
        "from foveal.cli.main import run\n"
        "from foveal.export.formats import FORMATS\n"
        "from foveal.synth import KINDS\n"
        "from foveal.tasks import TASKS\n"
        "def looked(): return any('plugins' in vars(names) for names in (FORMATS, KINDS, TASKS))\n"
        "assert run([sys.argv[1], '--no-such-option']) == 2 and not looked()\n"
        "assert run([sys.argv[1], '--help']) == 0 and looked()\n"
    )
    subprocess.run([sys.executable, "-c", code, verb], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("verb", "names"),
    [("train", TASKS), ("check", TASKS), ("synth", KINDS), ("export", FORMATS)],
)
def test_help_lists_the_names_there_are(
    verb: str, names: Registry[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = help_of(verb, capsys)
    assert [name for name in names if name not in shown] == []


@pytest.mark.parametrize("columns", ["80", "120"])
def test_everyday_settings_come_first(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = help_of("train", capsys)
    panels = [line.strip("╭╮─ ") for line in shown.split("\n") if line.startswith("╭")]
    assert panels == [
        *("Arguments", "Everyday settings", "Continue a run", "On another machine"),
        "Other options",
    ]
    assert shown.index("Other options") < shown.index("--help")
