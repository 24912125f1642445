"""Classes that one half of a split has alone are told: nothing learns them, or nothing measures them."""

from pathlib import Path

from pipelines.corpus.one_sided_classes import one_sided, one_sided_sentence
from tests.pipelines.corpus.test_labelled import built, data, write_yolo


def test_each_side_is_told_by_what_it_means() -> None:
    assert one_sided({"crack"}, {"crack"}) is None
    assert one_sided(set(), {"crack"}) is None  # MVTec's training half has normal images alone
    assert one_sided({"crack"}, set()) is None  # nothing is held out, which is refused elsewhere
    told = one_sided({"crack", "dent"}, {"crack", "hole"})
    assert told is not None
    assert "no detector learns it and it counts as AP 0: hole" in told
    assert "no figure tells of it: dent" in told
    assert one_sided_sentence(told, "labels").startswith("labels: the split has classes on one side only (")
    many = one_sided({"a"}, {"a", *(f"c{number}" for number in range(8))})
    assert many is not None
    assert many.endswith("c0, c1, c2, c3, c4 and 3 more")


def test_the_classes_of_a_corpus_are_those_of_its_halves(tmp_path: Path) -> None:
    write_yolo(tmp_path)  # image 0 shows a crack, 1 a hole and a crack, 2 nothing
    held_out = frozenset({str(tmp_path / "images/1.png")})
    corpus = built(data(tmp_path, test_share=0.5), held_out)
    assert corpus.classes == {"train": {"crack"}, "test": {"crack", "hole"}}
    assert one_sided(corpus.classes["train"], corpus.classes["test"]) == (
        "held out alone, so that no detector learns it and it counts as AP 0: hole"
    )
