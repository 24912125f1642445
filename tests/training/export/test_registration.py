"""What a registered detector says of how it was made, from the stages' own records."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from cluster.registry.pull import pull, weights_file
from cluster.registry.registry import Registry
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.run import client_of
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from training.export.registration_stage import behind, evaluation_of, provenance_of, register_detector
from training.weights.files import load_weights, save_weights

LABEL = pa.struct([("x0", pa.float64()), ("label", pa.string())])


def artifact(stage: str, *inputs: Artifact, **record: Any) -> Artifact:
    """A stage that read `inputs`."""
    content = {
        "fingerprint": f"{stage}-fingerprint",
        "config": {},
        "extra": {},
        "results": {},
        "versions": {"agssp": "0.1.0"},
        "inputs": {other.stage: other.fingerprint for other in inputs},
        **record,
    }
    return Artifact(stage, f"{stage}-fingerprint", Storage.open("/nowhere"), content, reused=False)


@pytest.fixture
def stages() -> dict[str, Artifact]:
    """All stages of a project, as its pipeline gives them."""
    corpus = artifact("corpus")
    maps = artifact("maps", corpus, extra={"prompts": "p", "encoder": "e"})
    boxes = artifact("boxes", corpus, maps, results={"thresholds": {"rail": 0.5}})
    backbone = artifact("backbone", corpus, maps, config={"loop": {"seed": 3}})
    detector = artifact("detector", corpus, boxes, backbone, config={"loop": {"seed": 4}})
    quality = artifact("evaluate_maps", corpus, maps)
    made = (corpus, maps, quality, boxes, backbone, detector)
    return {each.stage: each for each in made}


def finetuned(*inputs: Artifact) -> Artifact:
    code = {"agssp": "0.1.0", "code": "0.1.0+abc"}
    return artifact("finetune", *inputs, config={"loop": {"seed": 5}}, versions=code)


def test_from_agssp_everything_is_behind_it(stages: dict[str, Artifact]) -> None:
    model = finetuned(stages["corpus"], stages["detector"])
    made_of = behind(model, stages)
    assert list(made_of) == ["corpus", "maps", "boxes", "backbone", "detector"]
    made = provenance_of(model, made_of, {"detector": "d@1"})
    assert made.corpus == "corpus-fingerprint"
    assert (made.prompts, made.thresholds) == ("p", {"rail": 0.5})
    assert made.seeds == {"backbone": 3, "detector": 4, "finetune": 5}
    assert (made.code_version, made.parents) == ("0.1.0+abc", {"detector": "d@1"})


def test_a_corpus_that_was_made_anew_and_holds_the_same_is_behind_what_the_former_one_became() -> None:
    former = artifact("corpus", content="what it holds", fingerprint="former")
    maps = artifact("maps", former, input_identities={"corpus": former.identity})
    corpus = artifact("corpus", content="what it holds")
    model = artifact("finetune", corpus, maps, input_identities={"maps": maps.identity})
    assert list(behind(model, {"corpus": corpus, "maps": maps})) == ["corpus", "maps"]
    other = artifact("corpus", content="something else")
    assert list(behind(model, {"corpus": other, "maps": maps})) == ["maps"]


def test_from_agbp_there_are_no_boxes(stages: dict[str, Artifact]) -> None:
    made = provenance_of(
        finetuned(stages["corpus"], stages["backbone"]),
        behind(finetuned(stages["corpus"], stages["backbone"]), stages),
        {},
    )
    assert made.thresholds == {}
    assert made.seeds == {"backbone": 3, "finetune": 5}


def test_from_scratch_only_the_corpus_is_behind_it(stages: dict[str, Artifact]) -> None:
    model = finetuned(stages["corpus"])
    made = provenance_of(model, behind(model, stages), {})
    assert list(behind(model, stages)) == ["corpus"]
    assert (made.prompts, made.parents, made.seeds) == (None, {}, {"finetune": 5})


def corpus_at(folder: Path, splits: str, boxes: list[float]) -> Artifact:
    """A corpus of images `a`, `b`, … in these splits (t: test), one labelled box each."""
    storage = Storage.open(str(folder))
    names = "abcdef"[: len(splits)]
    split = ["test" if letter == "t" else "train" for letter in splits]
    storage.write_table("manifest/part-0.parquet", pa.table({"image_id": list(names), "split": split}))
    found = [[{"x0": x, "label": "scratch"}] for x in boxes]
    column = pa.array(found, pa.list_(LABEL))
    storage.write_table("labels.parquet", pa.table({"image_id": list(names), "boxes": column}))
    return Artifact("corpus", "c", storage, {"inputs": {}}, reused=False)


def test_the_digest_of_a_dataset_is_that_of_its_held_out_images_and_labels(tmp_path: Path) -> None:
    results = artifact("evaluate", results={"map50": 0.5, "map50_95": 0.25})
    counter = itertools.count()

    def digest(splits: str, boxes: list[float]) -> str:
        corpus = corpus_at(tmp_path / str(next(counter)), splits, boxes)
        return evaluation_of("line", corpus, results).digest

    base = digest("ttn", [1, 2, 3])
    assert digest("ttn", [1, 2, 9]) == base  # a label of the training split
    assert digest("ttn", [1, 9, 3]) != base
    assert digest("tnn", [1, 2, 3]) != base
    evaluation = evaluation_of("line", corpus_at(tmp_path / "last", "ttn", [1, 2, 3]), results)
    assert (evaluation.images, evaluation.metrics) == (2, {"map50": 0.5, "map50_95": 0.25})


@pytest.mark.slow
def test_a_detector_is_registered_with_its_parents(
    stages: dict[str, Artifact], tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    workspace = Storage.open(str(tracked(tmp_path / "workspace")))
    tracker = Tracker.open(TrackingSection(), workspace)

    def stored(stage: Artifact, file: str, value: float, **said: Any) -> Artifact:
        folder = tmp_path / stage.stage
        folder.mkdir()
        save_weights(
            folder / file, {"model.0.weight": torch.full((2,), value)}, {"kind": stage.stage, **said}
        )
        record = {**stage.record, "mlflow_run_id": "r"}
        return Artifact(stage.stage, stage.fingerprint, Storage.open(str(folder)), record, reused=False)

    corpus = corpus_at(tmp_path / "corpus", "tn", [1, 2])
    known = {
        **stages,
        "corpus": Artifact("corpus", "corpus-fingerprint", corpus.directory, stages["corpus"].record, False),
        "backbone": stored(stages["backbone"], "backbone.safetensors", 1.0),
        "detector": stored(stages["detector"], "detector.safetensors", 2.0),
    }
    maps = {"encoder": {"model": "huge", "weights": None}}
    known["maps"] = replace(known["maps"], record={**known["maps"].record, "config": maps})
    coco = {"coco of n": "AGPL-3.0"}
    model = stored(finetuned(known["corpus"], known["detector"]), "detector.safetensors", 3.0, licences=coco)
    model.record["results"].update({"start": "agssp", "class_names": ["scratch"]})
    evaluated = artifact("evaluate", results={"map50": 0.5, "map50_95": 0.25})
    for fingerprint in ("one", "two"):  # the second registers nothing anew
        with tracker.pipeline("p", {}) as pipeline:
            made = register_detector(
                "line",
                site=Site(workspace.at(fingerprint), pipeline),
                detector_name="n",
                finetuned=model,
                evaluated=evaluated,
                ancestors=known,
            )
        assert made.results["version"] == 1
    assert made.results["verdicts"] == []
    with tracker.pipeline("p", {}) as pipeline:
        nothing = register_detector(
            "line",
            site=Site(workspace.at("three"), pipeline),
            detector_name="zero",
            finetuned=model,
            evaluated=artifact("evaluate", results={"map50": 0.0, "map50_95": 0.0}),
            ancestors={name: known[name] for name in ("corpus",)},
        )
    assert [verdict["kind"] for verdict in nothing.results["verdicts"]] == ["zero_ap"]
    zero = Registry.open(tracker).version("line-finetune-zero@candidate")
    assert "finds nothing" in zero.tags["verdict"]
    registry = Registry.open(tracker)
    assert [row.name for row in registry.models] == [
        "line-backbone-n",
        "line-detector-n",
        "line-finetune-n",
        "line-finetune-zero",
    ]
    version = registry.version("line-finetune-n@candidate")
    assert version.provenance.parents == {"detector": "line-detector-n@1"}
    assert version.provenance.seeds == {"backbone": 3, "detector": 4, "finetune": 5}
    assert version.tags["backbone.code_version"] == "0.1.0"
    assert version.evaluations["line"].metrics == {"map50": 0.5, "map50_95": 0.25}
    first, second = version.tags["licences"].split("; ")
    assert first == "coco of n: AGPL-3.0"
    assert second.startswith("encoder huge: Apple's licence for research models")
    assert zero.tags["licences"] == "coco of n: AGPL-3.0"  # no maps behind it
    (detector,) = registry.parents(version)
    (backbone,) = registry.parents(detector)
    for each, value in ((backbone, 1.0), (detector, 2.0), (version, 3.0)):
        state, _ = load_weights(weights_file(pull(tracker, each, tmp_path / "pulled"), each))
        assert state["model.0.weight"].tolist() == [value, value]


def test_a_registry_without_the_model_gets_it_though_the_stage_is_complete(
    stages: dict[str, Artifact],
    tmp_path: Path,
    tracked: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A team moves to a tracking server of its own, or somebody deletes the database."""
    (tmp_path / "model").mkdir()
    save_weights(tmp_path / "model/detector.safetensors", {"w": torch.ones(2)}, {"kind": "finetune"})
    plain = finetuned(stages["corpus"])
    results = {"start": "scratch", "class_names": ["scratch"]}
    record = {**plain.record, "mlflow_run_id": "r", "results": results}
    model = replace(plain, directory=Storage.open(str(tmp_path / "model")), record=record)
    corpus = replace(stages["corpus"], directory=corpus_at(tmp_path / "corpus", "tn", [1, 2]).directory)
    workspace = Storage.open(str(tmp_path / "workspace"))
    places = [Storage.open(str(tracked(tmp_path / name))) for name in ("one", "two")]
    made = []
    for place in (places[0], places[0], places[1], places[1], places[1]):
        tracker = Tracker.open(TrackingSection(), place)
        with tracker.pipeline("p", {}) as pipeline:
            registration = register_detector(
                "line",
                site=Site(workspace, pipeline),
                detector_name="n",
                finetuned=model,
                evaluated=artifact("evaluate", results={"map50": 0.5, "map50_95": 0.25}),
                ancestors={"corpus": corpus},
            )
        made.append((registration.reused, registration.results["version"]))
        moved = "points at none by now, and this detector is version 1" in capsys.readouterr().err
        assert moved == (len(made) == 5)
        if len(made) == 4:  # somebody takes the alias away
            client_of(tracker.uri).delete_registered_model_alias("line-finetune-n", "candidate")
    assert made == [(False, 1), (True, 1), (False, 1), (True, 1), (True, 1)]
