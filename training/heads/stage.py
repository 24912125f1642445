"""The stage that trains a map method's head: features kept once, then a small training in this process."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Workbench, digest, ensure
from pipelines.banks import CLIP, bank_digest
from pipelines.encoder import load_encoder, weights_digest
from pipelines.heads import (
    HEAD_FILE,
    HEAD_METHODS,
    HeadRecord,
    PromptPair,
    anchor_sentences,
    save_head,
)
from pipelines.maps import MapsSection, check_sentences
from pipelines.tables import CorpusTables
from training.heads.aaclip_task import AaClip, build_aaclip_task
from training.heads.examples import Example, labelled_examples, painted_examples
from training.heads.prompts import LearntPrompts
from training.heads.reading import FeatureReader
from training.heads.section import HeadsSection
from training.heads.shards import FOLDER, write_shards
from training.heads.task import HeadPlan, build_head_task
from training.loop import FitResult, TrainingSite, trained

NOT_LEARNT = {"head", "top", "shots"}  # settings of methods that only the maps read


def train_head(section: HeadsSection, maps: MapsSection, *, site: TrainingSite, corpus: Artifact) -> Artifact:
    """Train the head of the maps' method on the images outside the test split.

    `painted` learns from defects painted onto them, without a label; the others from their labels. Writes
    `head.safetensors` (metadata: method, features, lineage) and `history.parquet`.

    Args:
        section: the config, with its seed.
        maps: the maps' config, whose method is trained.
        site: workspace and tracking run.
        corpus: the corpus stage's artifact.

    Raises:
        UserError: a method without a head, too few images, no labelled defect, features that can't be had, a
            sentence that the encoder does not read to its end.
    """
    method = maps.head_method
    if method is None:
        raise UserError(
            f"maps.method={maps.method} is not trained; those that are: {', '.join(HEAD_METHODS)}."
        )
    tables = CorpusTables(corpus.directory)
    if maps.reads_text:
        check_sentences(maps, _categories(tables))
    seed = section.loop.resolved_seed

    def body(bench: Workbench) -> Mapping[str, Any]:
        groups = (
            painted_examples(tables, section.images, section.copies)
            if method == "painted"
            else labelled_examples(tables, section.images)
        )
        examples, held_out = split(groups, section.validation)
        encoder = load_encoder(maps.encoder.model, maps.encoder.weights)
        categories = sorted({each.row["category"] for each in examples}) if method == "aaclip" else []
        reader = FeatureReader(maps, section, encoder, categories)
        write_shards(bench.directory, examples, reader, f"head: features for {method}")
        plan = HeadPlan(
            method=method,
            directory=bench.directory,
            train=tuple(range(held_out, len(examples))),
            validation=tuple(range(held_out)),
            shapes=reader.shapes,
            temperature=maps.temperature,
            encoder=(maps.encoder.model, maps.encoder.weights),
            seed=seed,
            epochs=section.loop.epochs,
            sentences=tuple(map(anchor_sentences, maps.prompts_of(categories).values())),
        )
        build_task = build_aaclip_task if method == "aaclip" else build_head_task
        task = build_task(plan)
        record = HeadRecord(
            method=method,
            features=reader.identity,
            lineage={"corpus": corpus.fingerprint},
            images=frozenset(each.row["image_id"] for each in examples if each.label is not None),
        )
        result = trained(
            build_task,
            plan,
            section.loop,
            bench=bench,
            scaling=site.scaling.model_copy(update={"workers": 0}),  # minutes, on features that lie here
            title=f"head: learning where defects are ({method})",
            weights_file=HEAD_FILE,
            save=lambda name: save_head(bench.directory, name, kept_state(task.model), record),
            load=task.model.load_state_dict,
        )
        bench.directory.delete(FOLDER)
        results = {"method": method, "images": len(groups), "examples": len(examples), **figures(result)}
        if results["pixel_ap"] is not None:
            say(
                f"head: {method} on {len(groups)} images, held-out pixels: average precision "
                f"{results['pixel_ap']:.3f}, AUROC {results['pixel_auroc']:.3f}"
            )
        return {**results, "head": bench.directory.uri_of(HEAD_FILE)}

    return ensure(
        "head",
        site=site,
        config={
            **section.model_dump(mode="json"),
            "seed": seed,
            "method": method,
            "encoder": maps.encoder.model_dump(mode="json"),
            method: maps.chosen.model_dump(mode="json", exclude=NOT_LEARNT),
        },
        inputs={"corpus": corpus},
        revision=2,  # masks of strips are averaged along their long side
        extra=_digests(maps, tables),
        body=body,
    )


def split(groups: Sequence[Sequence[Example]], share: float) -> tuple[list[Example], int]:
    """Examples of all groups, held-out ones first, and their number; an image's copies are on one side.

    Where labels are learnt, a defective image is among those that are held out, and one among the others.
    """
    count = min(len(groups) - 1, max(1, round(share * len(groups))))
    ordered = list(groups)
    defective = [group for group in ordered if _shows_defect(group[0])]
    if defective:
        one, *others = defective
        last = [others[-1]] if others else []
        ordered = [one, *(group for group in ordered if group not in [one, *last]), *last]
    held_out = [example for group in ordered[:count] for example in group]
    return held_out + [example for group in ordered[count:] for example in group], len(held_out)


def kept_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """What a head's file holds of the model: its weights, or the embeddings that learnt prompts come to."""
    if isinstance(model, AaClip):
        return dict(model.adapters.state_dict())
    if not isinstance(model, LearntPrompts):
        return dict(model.state_dict())
    with torch.no_grad():
        t_n, t_a = model()
    pair = PromptPair(len(t_n))
    pair.load_state_dict({"t_n": t_n, "t_a": t_a})
    return dict(pair.state_dict())


def figures(result: FitResult) -> dict[str, Any]:
    """The last epoch, and quality at the best one by average precision; None without a held-out defect."""
    judged = [row for row in result.history if not math.isnan(row.get("pixel_ap", math.nan))]
    best = max(judged, key=lambda row: row["pixel_ap"], default=None)
    return {
        "epochs": int(result.history[-1]["epoch"]),
        "best_epoch": None if best is None else int(best["epoch"]),
        "pixel_ap": None if best is None else best["pixel_ap"],
        "pixel_auroc": None if best is None else best["pixel_auroc"],
        "training_seconds": round(result.seconds, 3),
    }


def _shows_defect(example: Example) -> bool:
    return example.label is not None and bool(example.label["boxes"])


def _categories(tables: CorpusTables) -> set[str]:
    return {row["category"] for row in tables.manifest(columns=("category",))}


def _digests(maps: MapsSection, tables: CorpusTables) -> dict[str, str]:
    digests = {"encoder": weights_digest(maps.encoder.model, maps.encoder.weights)}
    if maps.method == "painted" and maps.painted.encoder != CLIP:
        digests["features"] = bank_digest(maps.painted)
    if maps.reads_text:
        prompts = maps.prompts_of(_categories(tables))
        digests["prompts"] = digest({name: each.model_dump() for name, each in prompts.items()})
    return digests
