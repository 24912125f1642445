"""`levels` of a source: one black and one white for all its deep images, in the manifest and in maps."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, LabelledDataSection, Source
from pipelines.corpus.sorting import Corpus
from pipelines.images.section import LevelsSection
from pipelines.maps.method import preprocess
from pipelines.maps.rows import decode_rows


def plates(folder: Path, start: int) -> list[npt.NDArray[np.uint16]]:
    """Three plates of 12 bits, each 900 brighter than the one before; the first has a hot pixel."""
    rng = np.random.default_rng(start)
    folder.mkdir(parents=True)
    values = []
    for number in range(3):
        plate = (start + 900 * number + rng.integers(0, 300, (24, 30))).astype(np.uint16)
        if number == 0:
            plate[3, 4] = 65_000
        Image.fromarray(plate).save(folder / f"{number}.png")
        values.append(plate)
    return values


def corpus_of(section: CorpusSection) -> Corpus:
    listing = Listing(section)
    rows = inspect(listing.table(listing.levels))
    return Corpus(rows, section, listing.reference_candidates(section))


def levels_of(corpus: Corpus) -> dict[str, Any]:
    return {"/".join(row["uri"].rsplit("/", 2)[1:]): row["levels"] for row in corpus.manifest}


def test_each_image_takes_its_own_without_a_word(tmp_path: Path) -> None:
    plates(tmp_path / "a/plates", 400)
    corpus = corpus_of(CorpusSection(root=str(tmp_path / "a")))
    assert set(levels_of(corpus).values()) == {None}


def test_levels_are_measured_source_by_source(tmp_path: Path) -> None:
    first, second = plates(tmp_path / "a/one", 400), plates(tmp_path / "b/two", 9_000)
    section = CorpusSection(
        sources=(
            Source(root=str(tmp_path / "a"), levels=LevelsSection(low=1, high=99)),
            Source(root=str(tmp_path / "b"), levels=LevelsSection(scaling="fixed", black=100, white=12_000)),
        )
    )
    (tmp_path / "a/one/damaged.png").write_bytes(b"no image")
    corpus = corpus_of(section)
    every = np.concatenate([plate.ravel() for plate in first]).astype(np.float64)
    levels = levels_of(corpus)
    for number in range(3):
        assert levels[f"one/{number}.png"] == pytest.approx(np.percentile(every, [1, 99]).tolist())
        assert levels[f"two/{number}.png"] == [100, 12_000]
    assert [row["uri"].rsplit("/", 1)[1] for row in corpus.quarantine.to_pylist()] == ["damaged.png"]
    rows = {row["uri"]: row for row in corpus.manifest}
    uri = str(tmp_path / "b/two/1.png")
    grey = np.rint(((second[1] - 100.0) * 255 / 11_900).clip(0, 255))
    assert rows[uri]["grey_mean"] == pytest.approx(float(grey.mean()), abs=1)


def test_maps_read_by_the_manifests_levels(tmp_path: Path) -> None:
    import pyarrow as pa

    (plate, *_) = plates(tmp_path / "a/plates", 400)
    rows = pa.table(
        {"uri": [str(tmp_path / "a/plates/0.png")] * 2, "levels": pa.array([[300.0, 4000.0], None])}
    )
    scaled, own = decode_rows(rows, 28).column("pixels").combine_chunks().to_numpy_ndarray()
    grey = np.rint(((plate - 300.0) * 255 / 3_700).clip(0, 255)).astype(np.uint8)
    np.testing.assert_array_equal(scaled, preprocess(np.stack([grey] * 3, axis=2), 28))
    assert own.max() < scaled.max()


def test_held_out_images_are_scaled_as_those_learnt_from(tmp_path: Path) -> None:
    learnt = plates(tmp_path / "train/plates", 400)
    plates(tmp_path / "test/plates", 9_000)
    train = Source(root=str(tmp_path / "train"), levels=LevelsSection())
    test = Source(root=str(tmp_path / "test"))
    every = np.concatenate([plate.ravel() for plate in learnt])
    wanted = pytest.approx(np.percentile(every, [0.1, 99.9]).tolist())
    listing = Listing(LabelledDataSection(train=train, test=test).as_corpus())
    assert [list(pair or ()) for pair in listing.levels] == [wanted, wanted]
    own = test.model_copy(update={"levels": LevelsSection(scaling="full")})
    listing = Listing(LabelledDataSection(train=train, test=own).as_corpus())
    assert listing.levels[1] == (0.0, 65_535.0)


@pytest.mark.parametrize(
    "keys",
    [
        {"scaling": "fixed"},
        {"scaling": "fixed", "black": 3},
        {"black": 3, "white": 9},
        {"scaling": "fixed", "black": 9, "white": 3},
        {"scaling": "fixed", "black": 0, "white": float("inf")},
    ],
)
def test_fixed_levels_are_two_rising_numbers(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"belong to scaling=fixed|must be below|finite"):
        LevelsSection(**keys)


def test_levels_belong_into_each_source(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="belong into each source"):
        CorpusSection(sources=(Source(root="a"),), levels=LevelsSection())
