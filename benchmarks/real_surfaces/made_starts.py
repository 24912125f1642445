"""Starts that the proof makes: AGBP alone, and lightly-train for as long as our pretraining took."""

from pathlib import Path

from benchmarks.real_surfaces.lightly import FILE, Rival, pretrain_lightly
from benchmarks.real_surfaces.settings import Settings
from benchmarks.real_surfaces.unlabelled import unlabelled_images
from cluster.stages import Artifact
from training.loop import HISTORY_FILE
from training.opening import open_run
from training.pipeline import Pipeline
from training.starts import SCRATCH
from tuning.gain import Arm, GainSection, GainSet

AGBP_ALONE, RIVAL = "AGBP alone", "lightly-train"


def made_starts(
    settings: Settings, section: GainSection, data: GainSet, folder: Path, python: str | None
) -> dict[str, str]:
    """Weights by the name of a start, e.g. `COCO + lightly-train`; each is pretrained or found done.

    Both see the images that AGSSP's pretraining sees, with the first seed. The rival is given the seconds of
    painting and of the detector's epochs.

    Args:
        settings: the proof's settings.
        section: study that names the starts they begin with.
        data: the data set.
        folder: parent of the images' copies.
        python: the Python that has lightly-train; None leaves the rival out.
    """
    section = section.model_copy(update={"agbp": "all"})
    seed, weights = section.seeds[0], {}
    for start, word in section.starts.items():
        arm = Arm(section.limits[0], section.epochs[0], start, "maps")
        project = data.cell(section, arm, seed)
        with open_run(project, f"{data.name}: {start} + {AGBP_ALONE}") as site:
            backbone = Pipeline(project, site).backbone
            weights[f"{start} + {AGBP_ALONE}"] = backbone.directory.uri
            if python is None:
                continue
            pipeline = Pipeline(data.cell(section, arm._replace(source="painted"), seed), site)
            rival = Rival(
                settings.lightly,
                python=python,
                images=unlabelled_images(pipeline.corpus, folder),
                start=None if word == SCRATCH else Path(word),
                seconds=float(pipeline.paint.record["seconds"]) + epochs_seconds(pipeline.detector),
                seed=seed,
            )
            trained = pretrain_lightly(rival, site=site, corpus=pipeline.corpus)
            weights[f"{start} + {RIVAL}"] = str(Path(trained.directory.path) / FILE)
    return weights


def epochs_seconds(training: Artifact) -> float:
    """Seconds of all epochs of a training's artifact; one that was killed and resumed counts whole."""
    column = training.directory.read_table(HISTORY_FILE)["seconds"].to_pylist()
    return float(sum(value for value in column if value is not None))
