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

from pipelines.corpus import near_duplicates
from pipelines.corpus.near_duplicates import (
    COARSE_DISTANCE,
    HASH_BITS,
    group_images,
    groups,
    near_links,
    near_pairs,
    nearest,
    perceptual_hash,
)
from pipelines.corpus.section import DEFAULT_DISTANCE
from pipelines.surfaces.generator import generate

Pixels = npt.NDArray[np.uint8]


def bits(phash: str) -> npt.NDArray[np.bool_]:
    """The (16, 16) bits, by the library that made them."""
    return np.asarray(imagehash.hex_to_hash(phash).hash, np.bool_)


def distances(a: str, b: str) -> tuple[int, int]:
    """Differing bits of the whole hashes, and of their 8 × 8 lowest frequencies."""
    differ = bits(a) ^ bits(b)
    return int(differ.sum()), int(differ[:8, :8].sum())


def is_near(a: str, b: str, limit: int) -> bool:
    whole, coarse = distances(a, b)
    return whole <= limit and coarse <= COARSE_DISTANCE


def all_pairs(hashes: list[str], limit: int) -> set[tuple[int, int, int]]:
    """What `near_pairs` must find, by the definition."""
    return {
        (i, j, distances(hashes[i], hashes[j])[0])
        for i, j in combinations(range(len(hashes)), 2)
        if is_near(hashes[i], hashes[j], limit)
    }


def found_pairs(hashes: list[str], limit: int) -> list[tuple[int, int, int]]:
    return [
        (int(i), int(j), int(d))
        for block in near_pairs(hashes, limit)
        for i, j, d in zip(*block, strict=True)
    ]


@st.composite
def hash_lists(draw: st.DrawFn) -> list[str]:
    """Hashes in families: each the copy of an earlier one with 0 to 90 bits turned over, or a new one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found: list[npt.NDArray[np.bool_]] = []
    for _ in range(draw(st.integers(0, 24))):
        copied: bool = draw(st.booleans())
        if found and copied:
            new = found[draw(st.integers(0, len(found) - 1))].copy()
            turned = draw(st.sampled_from([0, 1, 2, 3, 8, 11, 12, 13, 32, 63, 64, 65, 90]))
            # The coarse limit is met often only if the lowest frequencies are drawn more often.
            weights = np.ones((16, 16))
            weights[:8, :8] = draw(st.sampled_from([0.1, 1.0, 30.0]))
            places = rng.choice(HASH_BITS, turned, replace=False, p=weights.ravel() / weights.sum())
            new[places] ^= True
        else:
            new = rng.random(HASH_BITS) < 0.5
        found.append(new)
    return [str(imagehash.ImageHash(one.reshape(16, 16))) for one in found]


@settings(max_examples=25, deadline=None)
@given(hash_lists(), st.sampled_from([0, 1, 11, 32, 64, 96]))
def test_the_search_finds_what_the_loop_finds_each_once(hashes: list[str], limit: int) -> None:
    found = found_pairs(hashes, limit)
    assert len(found) == len(set(found))
    assert set(found) == all_pairs(hashes, limit)


@pytest.mark.parametrize("coarse_bits", range(9, 15))
def test_the_coarse_limit_is_exact_however_the_bits_are_spread(coarse_bits: int) -> None:
    rng = np.random.default_rng(coarse_bits)
    ground = rng.random((16, 16)) < 0.5
    for _ in range(12):
        other = ground.copy()
        corner = other[:8, :8].ravel()
        corner[rng.choice(64, coarse_bits, replace=False)] ^= True
        other[:8, :8] = corner.reshape(8, 8)
        pair = [str(imagehash.ImageHash(one)) for one in (ground, other)]
        assert len(found_pairs(pair, 64)) == (coarse_bits <= COARSE_DISTANCE)


def test_small_blocks_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    ground = rng.random((16, 16)) < 0.5
    hashes = [str(imagehash.ImageHash(ground ^ (rng.random((16, 16)) < 0.06))) for _ in range(60)]
    whole = near_links(hashes, 32)
    assert set(found_pairs(hashes, 32)) == all_pairs(hashes, 32)
    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    monkeypatch.setattr(near_duplicates, "LINKS_KEPT", 11)
    assert set(found_pairs(hashes, 32)) == all_pairs(hashes, 32)
    thinned = near_links(hashes, 32)
    assert whole.distance.sum() == thinned.distance.sum()
    assert same_partition(groups(whole, 60).tolist(), groups(thinned, 60).tolist())


def same_partition(a: list[int], b: list[int]) -> bool:
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


@settings(max_examples=25, deadline=None)
@given(hash_lists(), st.sampled_from([0, 11, 64, 96]))
def test_links_are_a_minimum_spanning_forest_and_groups_its_components(hashes: list[str], limit: int) -> None:
    graph = nx.Graph()
    graph.add_nodes_from(range(len(hashes)))
    graph.add_weighted_edges_from(all_pairs(hashes, limit))
    links = near_links(hashes, limit)
    for first, second, distance in links.triples():
        assert first < second
        assert graph.edges[first, second]["weight"] == distance
    expected = nx.minimum_spanning_tree(graph)
    assert len(links.first) == expected.number_of_edges()
    assert links.distance.sum() == expected.size(weight="weight")
    numbers = groups(links, len(hashes)).tolist()
    for component in nx.connected_components(graph):
        assert len({numbers[place] for place in component}) == 1
    assert len(set(numbers)) == nx.number_connected_components(graph)


@settings(max_examples=25, deadline=None)
@given(hash_lists(), hash_lists(), st.sampled_from([0, 11, 64, 96]))
def test_nearest_is_what_the_loop_finds(queries: list[str], hashes: list[str], limit: int) -> None:
    queries = queries + hashes[::3]
    expected = []
    for query in queries:
        near = [
            (distances(query, other)[0], place)
            for place, other in enumerate(hashes)
            if is_near(query, other, limit)
        ]
        expected.append((min(near)[1], min(near)[0]) if near else None)
    assert nearest(queries, hashes, limit) == expected


def test_a_thousand_equal_images_are_linked_in_a_star() -> None:
    links = near_links(["0f" * 32] * 1000 + ["f0" * 32], DEFAULT_DISTANCE)
    assert links.first.tolist() == [0] * 999
    assert links.second.tolist() == list(range(1, 1000))


def test_thirty_thousand_hashes_take_seconds() -> None:
    # A loop over all 4.5 · 10⁸ pairs takes minutes; here less than 1 of 100 is compared.
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (30_000, 32), dtype=np.uint8)
    packed[1::2] = packed[::2]
    packed[1::2, 31] ^= 0b101
    links = near_links([row.tobytes().hex() for row in packed], DEFAULT_DISTANCE)
    assert len(links.first) == 15_000
    assert set(links.distance.tolist()) == {2}


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


def recompress(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
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
    assert original == str(imagehash.phash(Image.fromarray(pixels), 16))
    for transform in TRANSFORMS:
        other = perceptual_hash(np.asarray(transform(Image.fromarray(pixels))))
        assert is_near(original, other, DEFAULT_DISTANCE), (category, distances(original, other))


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
