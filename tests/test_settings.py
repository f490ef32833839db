"""Options, arguments, help texts and checks all follow the recipe's fields."""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import typer

import foveal
from foveal.cli.data import check
from foveal.cli.main import run
from foveal.cli.measure import evaluate
from foveal.cli.serve import serve
from foveal.cli.train import train
from foveal.recipe import KNOBS, SETTINGS, Recipe
from foveal.server.options import ServerOptions
from foveal.settings import Setting, settings_of
from foveal.tasks import TASKS, get_task

SERVER = settings_of(ServerOptions)
OPTIONS = [s for name in TASKS for s in settings_of(get_task(name).options_type).values()]


def without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    return kind


def option_of(verb: Any, name: str) -> typer.models.OptionInfo:
    option = inspect.signature(verb).parameters[name].default
    assert isinstance(option, typer.models.OptionInfo)
    return option


def test_the_typed_arguments_are_the_fields_marked_as_knobs() -> None:
    marked = {setting.name: setting.kind for setting in SETTINGS.values() if setting.knob}
    assert {name: setting.kind for name, setting in KNOBS.items()} == marked


def test_train_in_python_spells_out_every_knob() -> None:
    parameters = inspect.signature(foveal.train).parameters
    hints = get_type_hints(foveal.train, localns={"Recipe": Recipe})
    named = [name for name in parameters if name in KNOBS]
    assert named == list(KNOBS)
    for name, setting in KNOBS.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
        assert without_none(hints[name]) == setting.kind
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())


@pytest.mark.parametrize("name", KNOBS)
def test_train_has_an_option_for_every_knob_with_the_help_of_its_field(name: str) -> None:
    setting, option = KNOBS[name], option_of(train, name)
    assert option.param_decls == setting.flags
    assert option.help == setting.help
    kind = str if get_origin(setting.kind) is Literal else setting.kind
    assert without_none(inspect.signature(train).parameters[name].annotation) is kind


@pytest.mark.parametrize(
    ("verb", "names"), [(check, ["task", "label_regex"]), (evaluate, ["label_regex"])]
)
def test_other_verbs_have_the_same_options(verb: Any, names: list[str]) -> None:
    for name in names:
        assert option_of(verb, name).help == KNOBS[name].help
        assert option_of(verb, name).param_decls == KNOBS[name].flags


def test_serve_in_python_spells_out_every_field_of_the_server_with_its_default() -> None:
    parameters = inspect.signature(foveal.serve).parameters
    hints = get_type_hints(foveal.serve)
    arguments = inspect.getdoc(foveal.serve) or ""
    for field in fields(ServerOptions):
        kind = SERVER[field.name].kind
        assert parameters[field.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[field.name].default == field.default
        is_open = field.default is None
        given = str | Path if kind is Path else kind
        assert hints[field.name] == (given | None if is_open else given), field.name
        assert f"\n    {field.name}: " in arguments
    others = {"models", "store", "canary", "shadow", "on", "replicas", "on_ready"}
    assert set(parameters) - others == {field.name for field in fields(ServerOptions)}


@pytest.mark.parametrize("name", [name for name, setting in SERVER.items() if setting.knob])
def test_serve_has_an_option_for_every_marked_field_with_its_help(name: str) -> None:
    setting, option = SERVER[name], option_of(serve, name)
    assert setting.knob is not None
    assert option.param_decls == setting.flags
    assert option.help == setting.help
    assert (option.min, option.max) == (setting.knob.least, setting.knob.most)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--max-body-mb 2", {"max_body_bytes": 2 * 1024 * 1024}),
        ("--allowed-host a --allowed-host b", {"allowed_hosts": ("a", "b")}),
        ("--worker-timeout 2.5 --workers 3", {"worker_timeout_s": 2.5, "workers": 3}),
        ("--app --insecure --host ::", {"app": True, "insecure": True, "host": "::"}),
        ("--access-log - --audit-log a.log", {"access_log": "-", "audit_log": Path("a.log")}),
        ("--tls-cert c --tls-key k", {"tls_cert": Path("c"), "tls_key": Path("k")}),
    ],
)
def test_an_option_of_serve_is_given_as_its_field_has_it(
    words: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served: dict[str, Any] = {}
    monkeypatch.setattr(foveal, "serve", lambda *_, **options: served.update(options))
    monkeypatch.setenv("FOVEAL_KEYS", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(["serve", "--store", str(tmp_path), "--workers", "1", *words.split()]) == 0
    options = {name: v for name, v in served.items() if name in SERVER and v is not None}
    assert options == {"workers": 1, **given}


@pytest.mark.parametrize("width", [80, 120])
def test_the_help_screen_shows_every_knob(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for setting in KNOBS.values():
        assert all(flag in shown for flag in setting.flags)


@pytest.mark.parametrize("setting", [*SETTINGS.values(), *OPTIONS], ids=lambda s: s.key)
def test_every_setting_has_one_line_of_help_and_says_what_it_takes(setting: Setting) -> None:
    assert setting.help.endswith((".", ")")) and "\n" not in setting.help
    assert setting.expected
    assert setting.default is None or setting.read(setting.default) == setting.default


def test_no_field_is_forgotten() -> None:
    sections = {key.partition(".")[0] for key in SETTINGS}
    assert sections == {each.name for each in fields(Recipe) if each.init}


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("train.epochs", 1, 1),
        ("train.epochs", 2.0, 2),
        ("train.epochs", np.int64(3), 3),
        ("train.lr", 1, 1.0),
        ("train.lr", "1e-3", 0.001),  # YAML reads a number without a point as text
        ("pipeline.overlap", 0.75, 0.75),
        ("train.strategy", "full", "full"),
        ("pipeline.steps", ["grey"], ("grey",)),
        ("pipeline.pad_color", [1, 2, 3], (1, 2, 3)),
        ("task_options", {"head": "gru"}, {"head": "gru"}),
    ],
)
def test_a_plain_value_is_read_as_the_settings_type(key: str, value: object, read: object) -> None:
    found = SETTINGS[key].read(value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("train.epochs", [0, 1.5, True, "one", [1]]),
        ("train.lr", [0.0, float("nan"), "fast", True, {}]),
        ("train.ema", [0.0, 1.0]),
        ("pipeline.overlap", [-0.1, 0.76]),
        ("train.strategy", ["half", ["full"], 1]),
        ("schema_version", [2, True]),
        ("model.pretrained", [1, "yes"]),
        ("model.backbone", [3]),
        ("pipeline.steps", ["grey", [1]]),
        ("pipeline.pad_color", [[1, 2], [1, 2, 3, 4], [1, 2, 0.5]]),
        ("task_options", [[], "head"]),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused(key: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(foveal.FovealError, match=re.escape(SETTINGS[key].expected)):
            SETTINGS[key].read(value)


def test_an_unknown_argument_is_named_with_the_nearest() -> None:
    with pytest.raises(foveal.FovealError, match=r"no argument 'epoch'\. Type epochs="):
        foveal.train("no-such-folder", epoch=3)
