import pytest
import torch
from torch import nn

from foveal.errors import UsageError
from foveal.models.backbones import BACKBONES, resolve_backbone
from foveal.models.network import build_network, parameters_of_stages
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.types import Labels

TASK = ClassifyTask.bind(Labels(("ant", "bee", "cat")), {})


def test_normalisation_maps_mid_grey_to_zero_for_efficientnet_lite() -> None:
    options = ModelOptions(backbone="efficientnet_lite0")
    network = build_network(TRAINING(TASK), options, pretrained=False)
    grey = torch.full((1, 3, 32, 32), 127.0)

    normalised = (grey - network.mean) / network.std

    assert torch.equal(normalised, torch.zeros_like(grey))
    assert network.std.flatten().tolist() == pytest.approx([128.0] * 3)


def test_a_network_normalises_runs_the_backbone_and_pools_the_evidence() -> None:
    options = ModelOptions(backbone="cnn2", hidden=0, dropout=0.0)
    network = build_network(TRAINING(TASK), options, pretrained=False).eval()
    spec = BACKBONES["cnn2"]
    images = torch.rand(2, 3, 32, 32) * 255

    with torch.inference_mode():
        outputs = network(images)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (spec.mean, spec.std))
        features = network.backbone((images / 255 - mean) / std)[-1]
        # One score a class and position: a weighted sum of the channels; then their mean.
        weight, bias = network.head.evidence.weight[:, :, 0, 0], network.head.evidence.bias
        evidence = torch.einsum("kc,nchw->nkhw", weight, features)
        if bias is not None:
            evidence += bias.view(1, -1, 1, 1)

    assert outputs["logits"].shape == (2, 3)
    torch.testing.assert_close(outputs["evidence"], evidence)
    torch.testing.assert_close(outputs["logits"], evidence.mean(dim=(2, 3)))
    assert outputs["logits"].abs().max() > 0


def test_the_head_answers_alike_on_reduced_features() -> None:
    network = build_network(TRAINING(TASK), ModelOptions(backbone="fovea"), pretrained=False).eval()
    images = torch.rand(2, 3, 64, 64) * 255

    with torch.inference_mode():
        whole, reduced = network(images), network.head(network.reduced_features(images))

    torch.testing.assert_close(reduced["logits"], whole["logits"])


def test_the_hidden_layer_is_the_backbones_unless_the_recipe_says_otherwise() -> None:
    own = build_network(TRAINING(TASK), ModelOptions(backbone="cnn3"), pretrained=False)
    given = build_network(TRAINING(TASK), ModelOptions(backbone="cnn3", hidden=0), pretrained=False)

    assert own.head.evidence.in_channels == 128
    assert isinstance(own.head.hidden, torch.nn.Sequential)
    assert isinstance(given.head.hidden, torch.nn.Identity)


def test_constants_are_no_part_of_the_saved_state() -> None:
    network = build_network(TRAINING(TASK), ModelOptions(backbone="cnn2"), pretrained=False)

    assert "mean" not in network.state_dict()


def test_an_unknown_backbone_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'efficientnet_lite0'\?.*cnn3, cnn2"):
        resolve_backbone("eficientnet_lite0")


@pytest.mark.parametrize("name", ["", "cnn3,", ",cnn3"])
def test_an_empty_name_in_a_list_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="several joined by commas"):
        resolve_backbone(name)


def test_too_small_a_picture_is_refused_with_the_smallest_size() -> None:
    with pytest.raises(UsageError, match=r"at least 32 pixels\. Received: 16x64"):
        BACKBONES["efficientnet_lite0"].check_size(16, 64)

    BACKBONES["efficientnet_lite0"].check_size(32, 32)


def test_backbones_side_by_side_give_one_map_of_the_finest_size() -> None:
    spec = resolve_backbone("cnn3, cnn2")
    backbone = spec.build("none").eval()

    with torch.inference_mode():
        (features,) = backbone(torch.rand(2, 3, 64, 96))

    assert spec.name == "cnn3,cnn2"
    assert spec.channels == (128 + 32,) and spec.strides == (4,)
    assert features.shape == (2, 160, 16, 24)


def test_backbones_side_by_side_each_see_their_own_normalisation() -> None:
    torch.manual_seed(0)
    spec = resolve_backbone("efficientnet_lite0,cnn2")
    backbone = spec.build("none").eval()
    images = torch.rand(1, 3, 64, 64)
    cnn2 = BACKBONES["cnn2"]

    with torch.inference_mode():
        (joined,) = backbone(images)
        alone = backbone.backbones[1]((images - cnn2.mean[0]) / cnn2.std[0])[-1]

    torch.testing.assert_close(joined[:, 1280:], alone)


def test_a_list_of_backbones_shows_the_licence_of_each() -> None:
    spec = resolve_backbone("efficientnet_lite0,cnn3,efficientnet_lite1")

    listed = [entry["weights"] for entry in spec.licences(pretrained=True)]

    assert listed == ["efficientnet_lite0", "efficientnet_lite1"]
    assert spec.licences(pretrained=False) == []


def test_a_plain_backbone_stays_in_float32_under_autocast() -> None:
    network = build_network(TRAINING(TASK), ModelOptions(backbone="fovea"), pretrained=False).eval()
    images = torch.rand(2, 3, 64, 64) * 255
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network.features(images)[-1].dtype == torch.bfloat16
        network.plain_backbone = True
        assert network.features(images)[-1].dtype == torch.float32


@pytest.mark.parametrize(
    ("stages", "parts"),
    [
        (0, set()),
        (2, {"stem", "blocks.0", "blocks.1"}),
        (3, {"stem", *map("blocks.{}".format, range(3))}),
    ],
)
def test_the_parameters_of_the_first_stages_are_those_their_maps_depend_on(
    stages: int, parts: tuple[str, ...]
) -> None:
    options = ModelOptions(backbone="efficientnet_lite0")
    network = build_network(TRAINING(TASK), options, pretrained=False).train()
    network.head.requires_grad_(False)
    network.backbone.blocks.eval()
    found = parameters_of_stages(network, network.features, stages, (64, 64))
    of_parts = {
        name
        for name, _ in network.named_parameters()
        for part in parts
        if name.startswith(f"backbone.{part}.")
    }
    assert found == of_parts
    assert [network.training, network.backbone.blocks[0].training] == [True, False]
    assert not any(p.requires_grad for p in network.head.parameters())
    assert all(p.requires_grad and p.grad is None for p in network.backbone.parameters())


def test_maps_that_depend_on_most_of_a_network_have_no_early_parameters() -> None:
    early, late = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
    join = nn.Conv2d(8, 4, 1)
    network = nn.ModuleList([early, late, join])

    def plain(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fine = early(images)
        return fine, late(fine)

    def joined(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fine = early(images)
        coarse = late(fine)
        return fine + join(coarse), coarse

    assert parameters_of_stages(network, plain, 1, (8, 8)) == {"0.weight", "0.bias"}
    assert parameters_of_stages(network, joined, 1, (8, 8)) == frozenset()
