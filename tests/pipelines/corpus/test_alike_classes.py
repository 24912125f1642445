"""Class names that differ in case and separators alone."""

from pipelines.corpus.alike_classes import alike_classes, alike_sentence, alike_text


def test_names_that_people_would_read_as_one_are_grouped() -> None:
    names = ["Scratch", "scratch", "rolled-in_scale", "rolled in scale", "pit", "pits", "Öl", "öl"]
    groups = alike_classes(names)
    assert groups == [("Scratch", "scratch"), ("rolled in scale", "rolled-in_scale"), ("Öl", "öl")]
    assert alike_text(groups) == "Scratch = scratch; rolled in scale = rolled-in_scale; Öl = öl"
    assert "Scratch = scratch" in alike_sentence(alike_text(groups), "corpus")
    assert alike_classes(["dent", "crack"]) == []


def test_many_groups_are_counted() -> None:
    text = alike_text(alike_classes([f"{case}{number}" for number in range(9) for case in "aA"]))
    assert text.count(" = ") == 5
    assert text.endswith("; 4 more")
