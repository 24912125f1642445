"""Fig. 5: which images are shown, and that each column is what its method gives."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.maps.section import MapsSection
from pipelines.surfaces.generator import write_corpus
from tests.pipelines.tiny_encoder import tiny_encoder
from training.pictures.overlays import heat_over
from tuning.table4.fig5 import GAP, HEAD, ROWS, SIDE, fig5_picture, shown
from tuning.table4.labelled_set import LabelledSet, inspect_listing, labelled_set
from tuning.table4.measuring import maps_of, measure

BASE = MapsSection.model_validate({"batch_size": 3, "kead": {"shots": 2}, "winclip": {"shots": 1}})


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    path: Path = tmp_path_factory.mktemp("surfaces")
    write_corpus(
        path, seed=5, images_per_category=7, size=40, defect_share=0.5, categories=["rail", "billet"]
    )
    section = CorpusSection(root=str(path), reference_count=2)
    listing = Listing(section)
    return labelled_set(inspect_listing(listing), section, listing)


def test_categories_come_in_turn_and_no_map_chooses(labelled: LabelledSet) -> None:
    chosen = shown(labelled, 4)
    assert [image.category for image in chosen] == ["billet", "rail", "billet", "rail"]
    assert all(image.mask().any() for image in chosen)
    assert len(shown(labelled, 100)) == sum(image.defective for image in labelled.images)


def test_a_line_is_image_truth_and_both_maps(labelled: LabelledSet) -> None:
    encoder = tiny_encoder()
    png = fig5_picture(BASE, encoder, labelled)
    assert png is not None
    page = cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    images = shown(labelled)
    step = SIDE + GAP
    assert page.shape == (HEAD + len(images) * step, 4 * step, 3)
    first = page[HEAD : HEAD + SIDE, :SIDE]
    whole = cv2.resize(images[0].pixels(), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert np.array_equal(first, whole)
    tinted = page[HEAD : HEAD + SIDE, step : step + SIDE].astype(int) - first
    mask = cv2.resize(images[0].mask().astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    inside = cv2.erode(mask, np.ones((9, 9), np.uint8)).astype(bool)
    outside = cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0
    if inside.any():
        assert tinted[inside][:, 1].mean() > tinted[outside][:, 1].mean()
    for column, row in enumerate(ROWS, start=2):
        values = maps_of(row, BASE, encoder, labelled, images)
        assert values is not None
        low, high = min(one.min() for one in values), max(one.max() for one in values)
        for place, (image, value) in enumerate(zip(images, values, strict=True)):
            full = cv2.resize(value, (image.width, image.height), interpolation=cv2.INTER_LINEAR)
            expected = heat_over(image.pixels(), full, float(low), float(high))
            tile = page[HEAD + place * step :][:SIDE, column * step :][:, :SIDE]
            larger = cv2.resize(expected, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            assert np.abs(tile.astype(int) - larger).mean() < 3


def test_maps_are_those_that_are_measured(labelled: LabelledSet) -> None:
    """The row's score is of maps in the same order, however they are batched."""
    encoder, row = tiny_encoder(), ROWS[1]
    maps = maps_of(row, BASE, encoder, labelled, labelled.images)
    assert maps is not None
    single = maps_of(row, BASE, encoder, labelled, labelled.images[-1:])
    assert single is not None
    assert maps[-1] == pytest.approx(single[0], abs=1e-5)
    assert measure(row, BASE, encoder, labelled).not_run is None


def test_without_masks_or_references_there_is_no_picture(labelled: LabelledSet) -> None:
    normal = LabelledSet(
        tuple(image for image in labelled.images if not image.defective), labelled.references
    )
    assert fig5_picture(BASE, tiny_encoder(), normal) is None
    without = LabelledSet(labelled.images, dict.fromkeys(labelled.references, ()))
    assert fig5_picture(BASE, tiny_encoder(), without) is None
