"""DINO's three ideas against plain references written from its paper, its loss, and that it learns."""

from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from training.detection.data import DetectionDataset, Sample
from training.detection.task import DetectionTask
from training.loop.loop import train
from training.loop.section import LoopSettings
from training.models.detectors.base import Detector
from training.models.detectors.dino_loss import dino_loss
from training.models.detectors.dino_network import Decoded, Proposals, grid_boxes
from training.models.letterbox import Preprocessing
from training.starts.filling import fresh_detector

SIDE = 64
PLACES = 8**2 + 4**2 + 2**2 + 1
CLASSES = ("crack", "fray", "hole", "dent")
Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Of seed 0, whose heads answer something; never to be changed."""
    made = fresh_detector("dino-s+resnet18", CLASSES, Preprocessing(SIDE, "square"), seed=0)
    torch.manual_seed(4)
    model: Any = made.model
    for head in (model.selection.box_embed, *model.decoder.box_embed):
        torch.nn.init.normal_(head.layers[-1].weight, std=0.05)
    return made.eval()


@pytest.fixture(scope="module")
def network(detector: Detector) -> Any:
    return detector.model


def labels() -> list[dict[str, Tensor]]:
    """Of three images; the second has no box."""
    return [
        {
            "class_labels": torch.tensor([0, 2]),
            "boxes": torch.tensor([[0.5, 0.4, 0.2, 0.1], [0.4, 0.6, 0.3, 0.2]]),
        },
        {"class_labels": torch.zeros(0, dtype=torch.int64), "boxes": torch.zeros(0, 4)},
        {"class_labels": torch.tensor([3]), "boxes": torch.tensor([[0.5, 0.5, 0.2, 0.2]])},
    ]


def corners(boxes: Array) -> Array:
    return np.concatenate([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def test_positives_are_moved_by_less_than_half_a_side_and_negatives_by_half_to_a_whole(network: Any) -> None:
    torch.manual_seed(0)
    truth = labels()
    moved: dict[bool, list[Array]] = {True: [], False: []}
    flipped = []
    for _ in range(20):
        (contents, logits), _, denoising = network.noised(truth, PLACES)
        boxes = corners(logits.double().sigmoid().numpy())
        groups = denoising["dn_num_group"]
        assert groups == 50  # a hundred positives shared out among as many groups as hold two boxes each
        assert boxes.shape == (3, groups * 2 * 2, 4)
        for image in (0, 2):
            for place in range(boxes.shape[1]):
                number, positive = (
                    place % 2,
                    place % 4 < 2,
                )  # of each group: two positives, then two negatives
                if number >= len(truth[image]["boxes"]):
                    continue
                true = truth[image]["boxes"][number].double().numpy()
                shift = np.abs(boxes[image, place] - corners(true)) / np.tile(true[2:] / 2, 2)
                whole = boxes[image, place, 2:] - boxes[image, place, :2] > 1e-4  # corners that did not cross
                moved[positive].append(shift[np.tile(whole, 2)])
                own = network.label_embed.weight[truth[image]["class_labels"][number]]
                flipped.append(not bool(contents[image, place].equal(own)))
    near, far = np.concatenate(moved[True]), np.concatenate(moved[False])
    assert 0 <= near.min() < 0.01
    assert 0.99 < near.max() < 1.0001
    assert 0.999 < far.min() < 1.01
    assert 1.95 < far.max() < 2.0001
    # Half of half the labels are drawn anew, a quarter of these as they were.
    assert np.mean(flipped) == pytest.approx(0.25 * 3 / 4, abs=0.02)


def test_known_pairs_are_each_groups_positives_and_their_boxes(network: Any) -> None:
    _, _, denoising = network.noised(labels(), PLACES)
    first, empty, third = (places.tolist() for places in denoising["dn_positive_idx"])
    assert first == [4 * group + number for group in range(50) for number in (0, 1)]
    assert empty == []
    assert third == [4 * group for group in range(50)]


def seen_by_the_paper(groups: int, group_size: int, queries: int) -> npt.NDArray[np.bool_]:
    """Section 3.3 and DN-DETR: a group sees itself and the matching part, which sees itself alone."""
    added = groups * group_size
    seen = np.zeros((added + queries, added + queries), bool)
    for asking in range(added + queries):
        for asked in range(added + queries):
            if asked >= added:
                seen[asking, asked] = True
            else:
                seen[asking, asked] = asking < added and asking // group_size == asked // group_size
    return seen


def test_the_mask_is_the_papers(network: Any) -> None:
    _, seen, denoising = network.noised(labels(), PLACES)
    expected = seen_by_the_paper(denoising["dn_num_group"], 4, PLACES)
    assert np.array_equal(seen.numpy(), expected)
    assert network.noised([labels()[1]], PLACES) == (None, None, None)


def test_nothing_leaks_between_groups_nor_into_the_matching_queries(network: Any) -> None:
    images = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    (contents, logits), seen, denoising = network.noised(labels(), PLACES)
    added = denoising["dn_num_split"][0]
    with torch.no_grad():
        memory = network.neck(network.trunk(images))
        chosen = network.selection(memory)
        matching = network.selection.content.weight[:PLACES].expand(3, -1, -1)

        def decoded(first: Tensor) -> Tensor:
            answer = network.decoder(
                torch.cat([first, matching], 1), torch.cat([logits.sigmoid(), chosen.boxes], 1), memory, seen
            )
            return torch.cat([answer.logits, answer.boxes], -1)

        plain, other = decoded(contents), contents.clone()
        other[:, 4:8] += 1.0  # the second group's
        differs = (decoded(other) - plain).abs().amax((0, 1, 3)) > 1e-4
        alone = network.decoder(matching, chosen.boxes, memory)
    assert differs[4:8].all()
    assert not differs[:4].any()
    assert not differs[8:].any()
    assert torch.allclose(alone.boxes, plain[..., added:, -4:], atol=1e-5)


def test_queries_take_their_places_from_the_best_proposals_and_their_contents_from_none(network: Any) -> None:
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    few = 20
    selection = network.selection
    with torch.no_grad():
        memory = network.neck(network.trunk(images))
        assert memory.shapes == [(12, 16), (6, 8), (3, 4), (2, 2)]
        whole, selection.queries = selection.queries, few
        found = selection(memory)
        selection.queries = whole
        features = selection.norm(selection.project(memory.tokens))
        every = selection.class_embed(features).double().numpy()
        offsets = selection.box_embed(features).double().numpy()
    grid = [
        ((column + 0.5) / width, (row + 0.5) / height, 0.05 * 2**level, 0.05 * 2**level)
        for level, (height, width) in enumerate(memory.shapes)
        for row in range(height)
        for column in range(width)
    ]
    boxes = np.array(grid)
    for image in range(2):
        best = np.argsort(-every[image].max(-1), kind="stable")[:few]
        assert np.allclose(found.logits[image].numpy(), every[image][best], atol=1e-5)
        logits = np.log(boxes[best] / (1 - boxes[best])) + offsets[image][best]
        assert np.allclose(found.boxes[image].numpy(), 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_places_at_the_very_border_propose_nothing() -> None:
    boxes = grid_boxes([(2, 100)])
    assert ((boxes > 0.01) & (boxes < 0.99)).all(-1).reshape(2, 100).sum(1).tolist() == [98, 98]


def test_contents_are_learned_and_places_are_not_through_the_decoder(network: Any) -> None:
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    network.zero_grad()
    network(images).pred_boxes.sum().backward()
    learned = (network.selection.content.weight.grad != 0).any(1)
    assert learned.nonzero().flatten().tolist() == list(
        range(PLACES)
    )  # a small image has fewer than 300 places
    assert all(p.grad is None for p in network.selection.box_embed.parameters())


def gradient(head: Any, loss: Tensor) -> float:
    grads = torch.autograd.grad(loss, list(head.parameters()), retain_graph=True, allow_unused=True)
    return sum(float(one.abs().sum()) for one in grads if one is not None)


def test_a_layers_boxes_teach_the_layer_before_it_and_none_further(network: Any) -> None:
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    memory = network.neck(network.trunk(images))
    start = network.selection(memory).boxes.detach()
    contents = network.selection.content.weight[:PLACES].expand(2, -1, -1)
    offsets: list[Tensor] = []
    heads = network.decoder.box_embed
    hooks = [head.register_forward_hook(lambda _m, _i, said: offsets.append(said)) for head in heads]
    boxes = network.decoder(contents, start, memory).boxes
    for hook in hooks:
        hook.remove()

    reach = [[gradient(head, boxes[layer].sum()) > 0 for head in heads] for layer in range(3)]
    assert reach == [[True, False, False], [True, True, False], [False, True, True]]

    refined = start.double().numpy()
    for layer in range(3):  # equation 5, whose values are those of plain refinement
        logits = np.log(refined / (1 - refined)) + offsets[layer].detach().double().numpy()
        refined = 1 / (1 + np.exp(-logits))
        assert np.allclose(boxes[layer].detach().numpy(), refined, atol=1e-5)


def plain_terms(logits: Array, boxes: Array, truth: list[tuple[int, Array]], pairs: Any = None) -> Array:
    """Focal, L1 and GIoU sums of one image, matched by trying all assignments unless the pairs are known."""

    def giou(one: Array, other: Array) -> float:
        a, b = corners(one), corners(other)
        inner = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
        union = np.prod(one[2:]) + np.prod(other[2:]) - inner
        hull = np.prod(np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2]))
        return float(inner / union - (hull - union) / hull)

    p = 1 / (1 + np.exp(-logits))
    positive, negative = -0.25 * (1 - p) ** 2 * np.log(p), -0.75 * p**2 * np.log(1 - p)

    def cost(query: int, label: int, box: Array) -> float:
        classes = positive[query, label] - negative[query, label]
        return float(2 * classes + 5 * np.abs(boxes[query] - box).sum() - 2 * giou(boxes[query], box))

    if pairs is None:
        pairs = min(
            (
                list(zip(order, range(len(truth)), strict=True))
                for order in permutations(range(len(p)), len(truth))
            ),
            key=lambda each: sum(cost(query, *truth[number]) for query, number in each),
        )
    focal = negative.sum()
    l1 = overlap = 0.0
    for query, number in pairs:
        label, box = truth[number]
        focal += positive[query, label] - negative[query, label]
        l1 += np.abs(boxes[query] - box).sum()
        overlap += 1 - giou(boxes[query], box)
    return np.array([focal, l1, overlap])


def test_the_loss_is_its_formula_for_matched_and_for_denoising_queries() -> None:
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(2, 2, 12, 3)))  # layers, images, 8 denoising queries and 4 others
    boxes = torch.tensor(rng.uniform(0.2, 0.6, (2, 2, 12, 4)))
    proposals = Proposals(
        torch.tensor(rng.normal(size=(2, 4, 3))), torch.tensor(rng.uniform(0.2, 0.6, (2, 4, 4)))
    )
    truth = [
        [(0, np.array([0.5, 0.4, 0.2, 0.3])), (2, np.array([0.3, 0.6, 0.2, 0.1]))],
        [(1, np.full(4, 0.4))],
    ]
    told = [
        {
            "class_labels": torch.tensor([label for label, _ in each]),
            "boxes": torch.tensor(np.stack([box for _, box in each])).float(),
        }
        for each in truth
    ]
    known = [[(0, 0), (1, 1), (4, 0), (5, 1)], [(0, 0), (4, 0)]]
    denoising = {
        "dn_positive_idx": [torch.tensor([0, 1, 4, 5]), torch.tensor([0, 4])],
        "dn_num_group": 2,
        "dn_num_split": [8, 4],
    }
    terms = dino_loss(Decoded(logits, boxes), proposals, told, denoising)

    def expected(classes: Tensor, places: Tensor, pairs: Any = (None, None), groups: int = 1) -> Array:
        sums = [
            plain_terms(classes[image].numpy(), places[image].numpy(), truth[image], pairs[image])
            for image in (0, 1)
        ]
        weighted: Array = np.sum(sums, 0) / (3 * groups) * np.array([1.0, 5.0, 2.0])
        return weighted

    parts = {
        "_aux_0": expected(logits[0, :, 8:], boxes[0, :, 8:]),
        "": expected(logits[1, :, 8:], boxes[1, :, 8:]),
        "_aux_encoder": expected(*proposals),
        "_dn_0": expected(logits[0, :, :8], boxes[0, :, :8], known, 2),
        "_dn_1": expected(logits[1, :, :8], boxes[1, :, :8], known, 2),
    }
    assert len(terms) == 3 * len(parts)
    for ending, values in parts.items():
        for name, value in zip(("loss_ce", "loss_bbox", "loss_giou"), values, strict=True):
            assert terms[name + ending].item() == pytest.approx(value, rel=1e-4), name + ending


def test_the_loss_is_that_of_float32_under_mixed_precision(detector: Detector) -> None:
    targets = {
        "image": torch.tensor([0, 1]),
        "labels": torch.tensor([0, 2]),
        "boxes": torch.tensor([[4.0, 6, 30, 40], [20, 20, 60, 50]]),
    }
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    found = []
    for mixed in (False, True):
        torch.manual_seed(2)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed), torch.no_grad():
            found.append(detector(images, targets)[0].item())
    assert found[1] == pytest.approx(found[0], rel=0.05)


@pytest.mark.slow
def test_two_images_are_learnt(squares: list[Sample]) -> None:
    two = squares[:2]
    settings = LoopSettings(
        epochs=60,
        batch_size=2,
        optimizer="adamw",
        lr=4e-4,
        schedule="constant",
        eval_every=60,
        warmup_epochs=0,
    )
    detector = fresh_detector("dino-s+resnet18", ("square",), Preprocessing(SIDE, "square"), seed=0)
    task = DetectionTask(detector, DetectionDataset(two, preprocessing=detector.preprocessing), two)
    result = train(task, settings, device=torch.device("cpu"), on_epoch=lambda report: None)
    first, last = result.history[0], result.history[-1]
    for part in ("loss_ce", "loss_bbox", "loss_giou"):
        assert last[part] < first[part] / 5, part
    assert last["loss_denoising"] < first["loss_denoising"] * 0.75
    assert last["map50_95"] > 0.8
    images = torch.stack([torch.from_numpy(sample.pixels()).permute(2, 0, 1) / 255 for sample in two])
    detector.load_state_dict(result.weights)
    for sample, found in zip(two, detector.predict(images), strict=True):
        assert (found.boxes[0].double() - torch.from_numpy(sample.boxes[0])).abs().max() < 3  # pixels
        assert found.scores[0] > 0.5
