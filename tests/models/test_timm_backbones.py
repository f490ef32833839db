import socket
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from foveal.errors import UsageError, WeightsError
from foveal.models.backbones import resolve_backbone
from foveal.models.timm_backbone import cached_weights
from foveal.models.torchvision_shim import import_timm


@pytest.fixture
def empty_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Point both caches at an empty folder and forbid every connection."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet50", (64, 256, 512, 1024, 2048)),
        ("inception_v3", (64, 192, 288, 768, 2048)),
        ("convnext_atto", (40, 80, 160, 320)),
    ],
)
def test_a_timm_network_gives_the_maps_that_its_spec_says(
    name: str, channels: tuple[int, ...]
) -> None:
    spec = resolve_backbone(name)
    backbone = spec.build("none").eval()

    with torch.inference_mode():
        maps = backbone(torch.rand(1, 3, 96, 96))

    assert spec.channels == channels
    assert tuple(m.shape[1] for m in maps) == channels
    # Inception's convolutions are not padded, so its maps are up to 4 smaller than H / stride.
    assert all(
        m.shape[2] in range(96 // stride - 4, 96 // stride + 1)
        for m, stride in zip(maps, spec.strides, strict=True)
    )


def test_a_picture_too_small_for_inception_is_refused_before_it_runs() -> None:
    with pytest.raises(UsageError, match=r"at least 75 pixels\. Received: 74x96"):
        resolve_backbone("inception_v3").check_size(74, 96)


def test_weights_that_are_not_here_are_not_fetched_unasked(empty_caches: Path) -> None:
    spec = resolve_backbone("resnet50")

    with pytest.raises(WeightsError, match="'resnet50' are not on this machine") as caught:
        spec.build("local")

    assert caught.value.hint is not None and caught.value.hint.startswith("use --allow-download")


def test_a_download_that_fails_is_an_error_with_the_reason(
    empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    spec = resolve_backbone("test_resnet")

    with pytest.raises(WeightsError, match="Cannot load the pretrained weights of 'test_resnet'"):
        spec.build("download")


@pytest.mark.parametrize("source", ["local", "download"])
def test_weights_in_the_hub_cache_are_used(empty_caches: Path, source: str) -> None:
    state = import_timm().create_model("test_resnet", pretrained=False).state_dict()
    repository = empty_caches / "hub" / "models--timm--test_resnet.r160_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / "model.safetensors")

    backbone = resolve_backbone("test_resnet").build(source)  # type: ignore[arg-type]

    loaded = backbone.state_dict()
    assert torch.equal(loaded["net.conv1.0.weight"], state["conv1.0.weight"])


def test_weights_in_the_torch_cache_are_found(empty_caches: Path) -> None:
    path = empty_caches / "torch" / "hub" / "checkpoints" / "net-0123.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")

    assert cached_weights({"url": "https://example.org/a/net-0123.pth"}) == path
    assert cached_weights({"url": "https://example.org/a/other.pth"}) is None


def test_a_network_for_one_size_only_is_refused() -> None:
    with pytest.raises(UsageError, match="accepts only pictures of 224 pixels"):
        resolve_backbone("vit_tiny_patch16_224")


def test_a_mistyped_timm_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'resnet50'"):
        resolve_backbone("resnt50")
