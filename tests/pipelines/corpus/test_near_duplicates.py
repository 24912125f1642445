"""Perceptual hashes of the same and of different surfaces; the search against a loop over all pairs."""

import io
from collections.abc import Callable
from itertools import combinations

import imagehash
import networkx as nx
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageEnhance

from pipelines.corpus import hamming_pairs, near_duplicates
from pipelines.corpus.near_duplicates import (
    group_images,
    groups,
    near_links,
    near_pairs,
    nearest,
    perceptual_hash,
)
from pipelines.corpus.section import DEFAULT_DISTANCE
from pipelines.surfaces.generator import generate

LIMITS = [0, 1, 32, 63, 64, 96, 191, 192, 193, 255, 256]
Pixels = npt.NDArray[np.uint8]


def bits(phash: str) -> npt.NDArray[np.bool_]:
    """The (16, 16) bits, by the library that made them."""
    return np.asarray(imagehash.hex_to_hash(phash).hash, np.bool_)


def distance(a: str, b: str) -> int:
    """Differing bits."""
    return int((bits(a) ^ bits(b)).sum())


def looped_pairs(hashes: list[str], limit: int) -> set[tuple[int, int, int]]:
    """What `near_pairs` must find, by a loop."""
    found = {(i, j, distance(hashes[i], hashes[j])) for i, j in combinations(range(len(hashes)), 2)}
    return {pair for pair in found if pair[2] <= limit}


def found_pairs(hashes: list[str], limit: int) -> list[tuple[int, int, int]]:
    return [
        (int(i), int(j), int(d))
        for block in near_pairs(hashes, limit)
        for i, j, d in zip(*block, strict=True)
    ]


@st.composite
def hash_lists(draw: st.DrawFn) -> list[str]:
    """Hashes in families: each the copy of an earlier one with 0 to all bits turned over, or a new one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found: list[npt.NDArray[np.bool_]] = []
    for _ in range(draw(st.integers(0, 24))):
        copied: bool = draw(st.booleans())
        if found and copied:
            new = found[draw(st.integers(0, len(found) - 1))].copy()
            turned = draw(st.sampled_from([0, 1, 2, 3, 8, 32, 63, 64, 65, 90, 191, 192, 193, 255, 256]))
            first = draw(st.sampled_from([0, 64, 192]))  # all in few of the four words, or anywhere
            places = np.roll(np.arange(256), -first)[:turned] if first else rng.permutation(256)[:turned]
            new[places] ^= True
        else:
            new = rng.random(256) < 0.5
        found.append(new)
    return [str(imagehash.ImageHash(one.reshape(16, 16))) for one in found]


@settings(max_examples=25, deadline=None)
@given(hash_lists(), st.sampled_from(LIMITS))
def test_the_search_finds_what_the_loop_finds_each_once(hashes: list[str], limit: int) -> None:
    found = found_pairs(hashes, limit)
    assert len(found) == len(set(found))
    assert set(found) == looped_pairs(hashes, limit)


def test_every_planted_pair_is_found_wherever_its_bits_are() -> None:
    rng = np.random.default_rng(3)
    ground = rng.random((4000, 256)) < 0.5
    other = ground.copy()
    for place, row in enumerate(other):
        row[rng.permutation(256)[: 1 + place % 64]] ^= True
    hashes = [
        np.packbits(row).tobytes().hex() for row in np.stack([ground, other], axis=1).reshape(8000, 256)
    ]
    planted = {(2 * place, 2 * place + 1, 1 + place % 64) for place in range(4000)}
    assert set(found_pairs(hashes, 64)) == planted  # random codes differ in 80 bits at least
    links = near_links(hashes, 64)
    assert set(links.triples()) == planted
    partners = nearest(hashes[::2], hashes[1::2], 64)
    assert partners == [(place, 1 + place % 64) for place in range(4000)]


@pytest.mark.parametrize("task", [(4, 15), (16, 20), (64, 65)])
def test_tasks_and_tiles_of_any_size_find_the_same(
    task: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    ground = rng.random((16, 16)) < 0.5
    hashes = [str(imagehash.ImageHash(ground ^ (rng.random((16, 16)) < 0.06))) for _ in range(61)]
    expected = looped_pairs(hashes, 32)
    assert 100 < len(expected) < 1800
    near = nearest(hashes[:9], hashes[9:], 32)
    whole = near_links(hashes, 32)
    monkeypatch.setattr(hamming_pairs, "TASK", task)
    monkeypatch.setattr(hamming_pairs, "TILE", (2, 5))
    found = found_pairs(hashes, 32)
    assert len(found) == len(expected)
    assert set(found) == expected
    assert nearest(hashes[:9], hashes[9:], 32) == near
    monkeypatch.setattr(near_duplicates, "LINKS_KEPT", 11)
    thinned = near_links(hashes, 32)
    assert whole.distance.sum() == thinned.distance.sum()
    assert same_partition(groups(whole, 61).tolist(), groups(thinned, 61).tolist())


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.005, 0.02, 0.06, 0.1]), st.integers(1, 4))
def test_a_thinned_forest_of_dense_groups_is_as_short_as_networkx_makes_it(
    seed: int, noise: float, families: int
) -> None:
    rng = np.random.default_rng(seed)
    grounds = rng.random((families, 256)) < 0.5
    grounds[1:] = np.where(rng.random((families - 1, 256)) < 0.15, grounds[1:], grounds[0])
    codes = grounds[rng.integers(0, families, 40)] ^ (rng.random((40, 256)) < noise)
    hashes = [np.packbits(row).tobytes().hex() for row in codes]
    graph = nx.Graph()
    graph.add_weighted_edges_from(looped_pairs(hashes, 64))
    tree = nx.minimum_spanning_tree(graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming_pairs, "TASK", (8, 15))
        patch.setattr(hamming_pairs, "TILE", (8, 15))
        patch.setattr(near_duplicates, "LINKS_KEPT", 60)
        links = near_links(hashes, 64)
    assert len(links.first) == tree.number_of_edges()
    assert links.distance.sum() == tree.size(weight="weight")
    assert all(distance(hashes[a], hashes[b]) == bits_off for a, b, bits_off in links.triples())


def same_partition(a: list[int], b: list[int]) -> bool:
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


@settings(max_examples=25, deadline=None)
@given(hash_lists(), st.sampled_from(LIMITS))
def test_links_are_a_minimum_spanning_forest_and_groups_its_components(hashes: list[str], limit: int) -> None:
    graph = nx.Graph()
    graph.add_nodes_from(range(len(hashes)))
    graph.add_weighted_edges_from(looped_pairs(hashes, limit))
    links = near_links(hashes, limit)
    for first, second, bits_off in links.triples():
        assert first < second
        assert graph.edges[first, second]["weight"] == bits_off
    expected = nx.minimum_spanning_tree(graph)
    assert len(links.first) == expected.number_of_edges()
    assert links.distance.sum() == expected.size(weight="weight")
    numbers = groups(links, len(hashes)).tolist()
    for component in nx.connected_components(graph):
        assert len({numbers[place] for place in component}) == 1
    assert len(set(numbers)) == nx.number_connected_components(graph)


@settings(max_examples=25, deadline=None)
@given(hash_lists(), hash_lists(), st.sampled_from(LIMITS))
def test_nearest_is_what_the_loop_finds(queries: list[str], hashes: list[str], limit: int) -> None:
    queries = queries + hashes[::3]
    expected = []
    for query in queries:
        near = [
            (distance(query, other), place)
            for place, other in enumerate(hashes)
            if distance(query, other) <= limit
        ]
        expected.append((min(near)[1], min(near)[0]) if near else None)
    assert nearest(queries, hashes, limit) == expected


def test_a_thousand_equal_images_are_linked_in_a_star() -> None:
    links = near_links(["0f" * 32] * 1000 + ["f0" * 32], DEFAULT_DISTANCE)
    assert links.first.tolist() == [0] * 999
    assert links.second.tolist() == list(range(1, 1000))


def test_group_rows_name_images_and_groups() -> None:
    near, far = "0f" * 32, "3c" * 32
    images = {
        "c": {"phash": near, "uri": "u/c"},
        "a": {"phash": near[:-1] + "e", "uri": "u/a"},
        "b": {"phash": far, "uri": "u/b"},
    }
    rows, members = group_images(images, 64)
    pair = {"image_id_a": "a", "image_id_b": "c", "uri_a": "u/a", "uri_b": "u/c"}
    assert rows == [{"group": "a", **pair, "distance": 1}]
    assert sorted(members) == [["a", "c"], ["b"]]
    assert group_images({}, 64) == ([], [])


SURFACES = [("steel_sheet", 1), ("billet", 2), ("casting", 3), ("copper_foil", 4), ("brushed_panel", 5)]


def enlarge(image: Image.Image) -> Image.Image:
    return image.resize((round(image.width * 1.7), round(image.height * 1.4)), Image.Resampling.BICUBIC)


def recompress(image: Image.Image, quality: int = 30) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def shift(image: Image.Image) -> Image.Image:
    return image.crop((2, 1, image.width, image.height - 1))


TRANSFORMS: list[Callable[[Image.Image], Image.Image]] = [
    lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    lambda image: image.convert("L").convert("RGB"),
    enlarge,
    lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    recompress,
    shift,
]


@pytest.mark.parametrize(("category", "index"), SURFACES)
def test_the_same_surface_taken_otherwise_is_near(category: str, index: int) -> None:
    pixels = generate(11, index, size=192, category=category).image
    original = perceptual_hash(pixels)
    # imagehash's own differs by the rounding to grey levels alone.
    assert (bits(original) ^ imagehash.phash(Image.fromarray(pixels), 16).hash).sum() <= 16
    for transform in TRANSFORMS:
        other = perceptual_hash(np.asarray(transform(Image.fromarray(pixels))))
        assert distance(original, other) <= DEFAULT_DISTANCE, category


def test_the_hash_is_the_sign_of_the_lowest_cosine_frequencies() -> None:
    pixels = generate(2, 1, size=64, category="casting").image  # not shrunk
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)
    waves = np.cos(np.pi / 64 * np.outer(np.arange(16), np.arange(64) + 0.5))
    frequencies = waves @ grey @ waves.T
    norms = np.array([1, *[2**0.5] * 15])
    scaled = frequencies * np.outer(norms, norms)
    assert (bits(perceptual_hash(pixels)) == (scaled > np.median(scaled))).all()


def smooth_sheet(seed: int, grain: float, side: int) -> Pixels:
    rng = np.random.default_rng(seed)
    levels = np.clip(np.rint(rng.normal(140, grain, (side, side))), 0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


@pytest.mark.parametrize("side", [200, 1024])
@pytest.mark.parametrize("grain", [1.5, 2, 3])
def test_a_smooth_sheet_saved_as_a_jpeg_is_near_and_another_sheet_is_not(grain: float, side: int) -> None:
    sheets = [smooth_sheet(seed, grain, side) for seed in range(5)]
    saved = [np.asarray(recompress(Image.fromarray(sheet), 90)) for sheet in sheets]
    hashes = [perceptual_hash(sheet) for sheet in (*sheets, *saved)]
    assert {pair[:2] for pair in found_pairs(hashes, DEFAULT_DISTANCE)} == {(i, i + 5) for i in range(5)}


def test_different_surfaces_of_one_line_are_not_near() -> None:
    hashes = [
        perceptual_hash(generate(11, index, size=96, category=category).image)
        for category, _ in SURFACES
        for index in range(12)
    ]
    assert found_pairs(hashes, DEFAULT_DISTANCE) == []


def test_flat_images_are_all_near() -> None:
    flat = [perceptual_hash(np.full((40, 30 + level, 3), level, np.uint8)) for level in (0, 7, 128, 255)]
    assert len(found_pairs(flat, 1)) == 6
