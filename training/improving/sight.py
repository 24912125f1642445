"""What every step of a loop sees: the project, its rounds, the labels known so far, the version in use."""

from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError
from cluster.registry import ModelVersion, Registry, making_of
from cluster.stages import Artifact
from cluster.storage import Storage
from pipelines.corpus import CorpusSection
from pipelines.drift import Corpus, corpus_images
from training.active_learning import (
    ASKED,
    LABELS,
    Returned,
    Round,
    grown_labels,
    grown_section,
    held_out_digest,
    keep_held_out,
    read_returned,
    read_rounds,
)
from training.certificate import find_leak
from training.improving.place import improved_model
from training.pipeline import Pipeline
from training.project import Project
from training.starts import ModelSource, open_model, resolve_start

if TYPE_CHECKING:
    from cluster.tracking import Tracker


@dataclass(frozen=True)
class Sight:
    """One call of the command.

    Attributes:
        pipeline: the project's stages.
        tracker: where models are registered.
        folder: the loop's folder in the workspace.
        despite: of `DESPITE`, what is not to stop it.
    """

    pipeline: Pipeline
    tracker: "Tracker"
    folder: Storage
    despite: Set[str]

    @property
    def project(self) -> Project:
        """The config."""
        return self.pipeline.project

    @property
    def base(self) -> CorpusSection:
        """The project's own labelled images."""
        data = self.project.finetune.data
        return self.pipeline.corpus_section if data is None else data.as_corpus()

    @cached_property
    def compared(self) -> Corpus:
        """The corpus that new images are compared with."""
        most, seed = self.project.drift.images, self.project.seed
        category = self.project.active_learning.category
        return corpus_images(self.pipeline.corpus, category, held_out=False, most=most, seed=seed)

    def returned(self, one: Round) -> Returned:
        """What came back of a round; see `read_returned`."""
        asked = one.record[ASKED]
        return read_returned(
            Path(asked["kept"]).parent,
            asked["images"],
            layout=self.project.active_learning.layout,
            category=self.compared.category,
            base=self.base,
            classes=sorted({*asked["classes"], *self.project.active_learning.classes}),
            site=self.pipeline.site,
        )

    def labels(self, rounds: Sequence[Round]) -> Artifact:
        """All labels known after these rounds.

        Raises:
            UserError: labels changed since they came back; see `grown_labels`.
        """
        begun = any(each.has(ASKED) for each in read_rounds(self.folder))
        kept = keep_held_out(self.folder, self.pipeline.own_labelled, begun=begun)
        folders = [Path(each.record[ASKED]["kept"]) for each in rounds]
        for each, folder in zip(rounds, folders, strict=True):
            if not folder.is_dir() or self.returned(each).digest != each.record[LABELS]["digest"]:
                raise UserError(
                    f"The labels of round {each.number} in {folder} are not those that came back; put them "
                    "back as they were."
                )
        section = grown_section(
            self.base, folders, self.project.active_learning.layout, self.compared.category
        )
        site, made_by = self.pipeline.site, self.pipeline.surfaces
        return grown_labels(section, kept, site=site, made_by=made_by, key=self.base.key)

    def in_use(self) -> ModelVersion:
        """The version that the alias points at.

        Raises:
            UserError: no such model, or no version in use.
        """
        name, alias = improved_model(self.project), self.project.active_learning.alias
        registry = Registry.open(self.tracker)
        row = next((row for row in registry.models if row.name == name), None)
        if row is not None and alias not in row.aliases:
            raise UserError(
                f'{name} has no version "{alias}" in use; give it one by agssp models promote '
                f"{name}@{row.latest} CONFIG --dataset {self.project.name} --to {alias}."
            )
        return registry.version(f"{name}@{alias}")

    def refuse_incomparable(self, version: ModelVersion, labelled: Artifact) -> None:
        """Refuse a version that can't be compared with what is learnt here.

        Args:
            version: the version in use.
            labelled: result of `labels`.

        Raises:
            UserError: another start or other weights of its name, another evaluation, or held-out images that
                it has or may have learnt from.
        """
        start, known = version.tags.get("start"), self.project.finetune.starts
        if start not in known:
            raise UserError(
                f'{version.reference} was finetuned from the start "{start or "unknown"}", which is none of '
                f"finetune.starts ({', '.join(known)}), so a candidate would differ in more than its labels; "
                "name that start."
            )
        judged = version.evaluations.get(self.project.name)
        if judged is None or judged.digest != held_out_digest(labelled):
            raise UserError(
                f"{version.reference} was not evaluated on the loop's held-out images; register it anew by "
                "agssp run with this config, and promote it."
            )
        limit, workspace = self.base.near_duplicate_distance, self.pipeline.site.workspace
        making = making_of(self.tracker, version)
        self._refuse_other_weights(version, start, making)
        leak = find_leak(making, labelled, workspace, limit)
        if leak.seen:
            raise UserError(
                f"{version.reference} has learnt from {leak.exact} of the held-out images and from "
                f"near-duplicates of {leak.near} more, so it can't be compared on them; hold others out "
                "(finetune.data.test), and register and promote a version that has not seen them."
            )
        if leak.missing or not leak.sources:  # what given weights had seen helps both versions
            raise UserError(
                f"Nobody knows whether {version.reference} has seen the held-out images: its training's "
                "images are not in this workspace; register it anew by agssp run with this config, and "
                "promote it."
            )

    def _refuse_other_weights(self, version: ModelVersion, start: str, making: Mapping[str, Any]) -> None:
        """Refuse where a start's name stands for other weights than those that a version began with."""
        section, stages = self.project.finetune, making.get("stages")
        record = stages.get("finetune") if isinstance(stages, Mapping) else None
        extra = record.get("extra") if isinstance(record, Mapping) else None
        began = extra.get("weights") if isinstance(extra, Mapping) else None
        if began is None or start not in section.given:
            return
        now = resolve_start(section.given[start], section.name, lambda: self.tracker)
        if now.digest != began:
            raise UserError(
                f"{version.reference} began with other weights than {now.source}, which the start {start} "
                "names by now, so a candidate would differ in more than its labels; put those weights back, "
                "or register and promote a version that began with these."
            )

    def opened(self, version: ModelVersion) -> AbstractContextManager[ModelSource]:
        """A version's weights on this machine, for a block."""
        return open_model(f"models:/{version.name}/{version.version}", lambda: self.tracker)
