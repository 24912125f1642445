"""The first half of a round: boxes in the new images, drift, and what a person is asked to label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.errors import UserError
from cluster.stages import Artifact
from pipelines.choice import CHOSEN_BOXES, CHOSEN_FILE
from pipelines.corpus import CorpusSection, find_images
from pipelines.drift import PAGE_FILE, NoVerdictError
from pipelines.images import LevelsSection
from pipelines.labelling import ExportOptions, export_boxes
from training.active_learning import ASKED, KEPT, LABELLED, TO_LABEL, Round, named, open_round
from training.drift import drift_of
from training.improving.despite import DRIFT
from training.improving.sight import Sight
from training.next_images import next_images
from training.pipeline import Pipeline
from training.prediction import predict_images


def ask(sight: Sight, done: Sequence[Round]) -> None:
    """Open a round: find boxes, compare with the corpus, choose, write what a person begins with.

    Nothing is recorded before all of it is there, so that a killed or refused call begins with the images as
    they are then; what was made is found complete.

    Args:
        sight: the call.
        done: the rounds before.

    Raises:
        UserError: no version in use that can be compared, drift, nothing left to label.
    """
    section, site = sight.project.active_learning, sight.pipeline.site
    version, labelled = sight.in_use(), sight.labels(done)
    sight.refuse_incomparable(version, labelled)
    one = open_round(sight.folder, len(done) + 1, version.reference)
    files = find_images(section.images)
    predict = sight.project.predict.model_copy(update={"draw": False})
    with sight.opened(version) as source:
        found = predict_images(predict, files=files, model=source, site=site)
        new = {"where": section.images, **{key: found.results[key] for key in ("images", "with_boxes")}}
        drift, stages = _drift(sight, files)
        one = one.told(new=new, drift=drift, labels=named(labelled), predict=named(found), **stages)
        if drift["kind"] == "drift":
            if DRIFT not in sight.despite:
                one.noted()
                raise UserError(
                    "The new images are not those of the corpus any more, so nothing is asked for: "
                    f"{drift['sentence']} Look at {drift['page']}; --despite drift goes on all the same."
                )
            one = one.told(despite_drift=True)
        chosen = next_images(_of_new_images(sight, labelled), source)
        model = source.name
    _write_out(sight, one, chosen, model)


def _drift(sight: Sight, files: pa.Table) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verdict on the new images, and the stage that has it, by name."""
    try:
        made = drift_of(sight.pipeline, files, category=sight.project.active_learning.category)
    except NoVerdictError as error:  # few new images are usual here, and no sign of drift
        return {"kind": "no_verdict", "sentence": str(error)}, {}
    verdict = made.results["verdicts"][0]
    return {**verdict, "page": made.directory.uri_of(PAGE_FILE)}, {"drift_stage": named(made)}


def _of_new_images(sight: Sight, labelled: Artifact) -> Pipeline:
    """The stages of the new images, with the corpus' references and the labels known so far."""
    compared, base = sight.compared, sight.pipeline.corpus_section
    references = tuple(compared.references.get(compared.category, ()))
    levels = None
    if compared.levels is not None:
        black, white = compared.levels
        levels = LevelsSection(scaling="fixed", black=black, white=white)
    corpus = CorpusSection(
        root=sight.project.active_learning.images,
        layout="folder",
        category=compared.category,
        references={compared.category: references} if references else {},
        levels=levels,
        near_duplicate_distance=base.near_duplicate_distance,
        max_bad_share=base.max_bad_share,
    )
    changed = {"generate": None, "corpus": corpus, "maps": sight.pipeline.maps_section}
    return Pipeline(sight.project.model_copy(update=changed), sight.pipeline.site, labelled)


def _write_out(sight: Sight, one: Round, chosen: Artifact, model: str) -> None:
    """Write the chosen images for the labelling tool, then that they are asked for."""
    section = sight.project.active_learning
    local = Path(section.out).absolute() / one.name
    written = export_boxes(
        chosen.directory,
        CHOSEN_BOXES,
        ExportOptions(
            to=section.to,
            folder=str(local / TO_LABEL),
            images="copy" if "://" in section.images else "link",
            classes=section.classes,
            url=section.image_url,
            force=True,  # of a killed call; nobody was asked yet
        ),
        roots=[section.images],
        classes=chosen.results["classes"],
        model=model,
    )
    (local / LABELLED).mkdir(exist_ok=True)
    rows = chosen.directory.read_table(CHOSEN_FILE, columns=["image_id", "uri"]).to_pylist()
    asked = {
        "count": len(rows),
        "left": chosen.results["left_to_label"],
        "to": section.to,
        "folder": str(local / TO_LABEL),
        "labelled": str(local / LABELLED),
        "kept": str(local / KEPT),
        "relative_to": written["relative_to"],
        "classes": written["classes"],
        "images": rows,
    }
    one.noted(**{ASKED: asked}, stages={**one.record["stages"], "next": named(chosen)})
