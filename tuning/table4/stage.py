"""The study of Table 4 as a stage in one process; finished rows are kept, so the same command goes on."""

from collections.abc import Mapping
from typing import Any

import torch

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, digest, ensure
from cluster.storage import Storage, workspace_faults
from cluster.tracking import Tracker
from pipelines.banks import BankSection
from pipelines.corpus import CorpusSection, Listing
from pipelines.device import best_device
from pipelines.encoder import load_encoder, weights_digest
from pipelines.heads import head_digest
from pipelines.maps import MapsSection, check_sentences
from pipelines.surfaces import GenerateSection, generate_surfaces
from training.inputs import read_listing
from training.project import Project
from tuning.table4.fig5 import fig5_picture
from tuning.table4.kept_rows import KeptRows
from tuning.table4.labelled_set import LabelledSet, inspect_listing, labelled_set
from tuning.table4.measuring import ROWS, Measured, measure
from tuning.table4.paper import paper_table4
from tuning.table4.text import comparison, footnotes, markdown

STAGE = "table4"
INSPECTED, PICTURE = "inspected.parquet", "fig5.png"
FIG5 = (
    "fig5.png: WinCLIP's and KeAD's maps (few-shot) beside the masks, as the paper's Fig. 5, of images that "
    "no map chose; a method's colours span its own values."
)
TRAINED = ("aprilgan", "anomalyclip", "aaclip")  # methods of rows whose head is trained elsewhere


def check_device(name: str | None) -> str:
    """The named torch device; without a name an accelerator where there is one, else the CPU.

    Raises:
        UserError: there is no such device.
    """
    if name is None:
        return best_device()
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'Device "{name}" can\'t be used ({reason}); give --device cpu or cuda.') from None
    return name


def run_table4(project: Project, device: str) -> Artifact:
    """Make the table on the project's labelled images, or on generated surfaces where it has `generate`.

    Writes `rows/ROW.json`, `table4.json`, `table4.md` and, of masked defects, `fig5.png`.

    Args:
        project: project whose `workspace`, `tracking`, `corpus`, `generate` and `maps` are read.
        device: torch device of the encoder.

    Raises:
        UserError: there are no labelled images, a category has no prompts, the encoder can't be used, or maps
            are of tiles or of another bank, which no row is.
    """
    maps = project.maps
    _refuse_others(maps)
    weights = weights_digest(maps.encoder.model, maps.encoder.weights)
    listing = None
    if project.generate is None:
        listing = _listing(project.corpus, maps)
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    tags = {"agssp.project": project.name, "agssp.command": "study table4"}
    with workspace_faults(workspace), tracker.pipeline(f"{project.name}: study table4", tags) as run:
        site = Site(workspace, run)
        corpus = project.corpus
        if project.generate is not None:
            corpus = _generated(project.generate, corpus, site)
            listing = _listing(corpus, maps)
        assert listing is not None
        return _table4(maps, corpus, listing, weights, device, site=site)


def _refuse_others(maps: MapsSection) -> None:
    """Refuse maps that the table would leave out in silence."""
    given = ["maps.tiles=off"] if maps.tiles != "off" else []
    plain = BankSection()
    given += [
        f"maps.bank.{key}={'null' if value is None else value}"
        for key, value in plain.model_dump().items()
        if getattr(maps.bank, key) != getattr(plain, key)
    ]
    if given:
        raise UserError(
            "study table4 measures the paper's methods, of whole images and with banks of their own; "
            f"run it with {' '.join(given)}, and measure your maps with agssp evaluate maps."
        )


def _listing(corpus: CorpusSection, maps: MapsSection) -> Listing:
    """The corpus' files. Every category needs prompts; without references few-shot rows are not run."""
    listing = read_listing(corpus, None)
    if not any(entry.labelled for entry in listing.entries):
        raise UserError(
            f"{corpus.root} has no labelled images as the layout {listing.layout} reads it; the study needs"
            " masks, or images known to be normal: set corpus.layout, or add them."
        )
    described = maps.model_copy(  # the row with the longest sentences
        update={"method": "kead", "kead": maps.kead.model_copy(update={"defect_features": True})}
    )
    check_sentences(described, {entry.category for entry in listing.entries})
    return listing


def _generated(section: GenerateSection, corpus: CorpusSection, site: Site) -> CorpusSection:
    surfaces = generate_surfaces(section, site=site)
    root = f"{surfaces.directory.uri}/images"
    return corpus.model_copy(update={"root": root, "layout": "masks"})


def _table4(
    maps: MapsSection,
    corpus: CorpusSection,
    listing: Listing,
    weights: str,
    device: str,
    *,
    site: Site,
) -> Artifact:
    library, paper = maps.library(), paper_table4()
    prompts = {
        name: library.category(name).model_dump() for name in {entry.category for entry in listing.entries}
    }

    def body(bench: Workbench) -> Mapping[str, Any]:
        if not bench.directory.exists(INSPECTED):
            bench.directory.write_table(INSPECTED, inspect_listing(listing))
        labelled = labelled_set(bench.directory.read_table(INSPECTED), corpus, listing)
        say(
            f"table4: {len(labelled.images)} labelled images,"
            f" {sum(image.defective for image in labelled.images)} with a defect"
        )
        measured = finished_rows(bench.directory, maps, labelled, device, kept)
        encoder = load_encoder(maps.encoder.model, maps.encoder.weights, device=device)
        if (picture := fig5_picture(maps, encoder, labelled)) is not None:
            bench.directory.write(PICTURE, picture)
        defective = sum(image.defective for image in labelled.images)
        normal = len(labelled.images) - defective
        counts = {"defective": defective, "normal": normal, "filled": labelled.filled}
        lines = comparison(measured, paper, maps.encoder.model, **counts)
        notes = [*footnotes(lines, paper), *([FIG5] if picture is not None else [])]
        table = {"rows": lines, "notes": notes, "images": len(labelled.images)}
        bench.directory.write_json("table4.json", table)
        bench.directory.write("table4.md", markdown(lines, paper, len(labelled.images)).encode())
        return table

    listed, prompted = listing.digest(), digest(prompts)
    # Some rows have V-V, whatever is set; 10: rows at chance level are marked; 11: trained rivals;
    # 12: Fig. 5 beside the table; 13: boxes are filled where there are no masks.
    revision = 13 + maps.kead.model_copy(update={"vv": True}).revision
    of_all_rows: dict[str, Any] = {
        "images": listed,
        "corpus": corpus.model_dump(mode="json"),
        "prompts": prompted,
        "encoder": weights,
        "batch_size": maps.batch_size,
        "device": device,
        "revision": revision,
    }
    kept = KeptRows(site.workspace.at(STAGE), of_all_rows, maps)
    return ensure(
        STAGE,
        site=site,
        config={
            "encoder": maps.encoder.model_dump(mode="json"),
            "kead": maps.kead.model_dump(mode="json"),
            "winclip": maps.winclip.model_dump(mode="json"),
            **{name: getattr(maps, name).model_dump(mode="json", exclude={"head"}) for name in TRAINED},
            "corpus": corpus.model_dump(mode="json"),
            "batch_size": maps.batch_size,
            "device": device,
        },
        inputs={},
        extra={
            "listing": listed,
            "encoder": weights,
            "heads": digest([_head(maps, name) for name in TRAINED]),
            "prompts": prompted,
            "paper": digest(paper.model_dump()),
        },
        body=body,
        revision=revision,
    )


def _head(maps: MapsSection, method: str) -> str | None:
    """The digest of a method's head; None where none is named, and its rows are not run."""
    file = getattr(maps, method).head
    return None if file is None else head_digest(file)


def finished_rows(
    directory: Storage, maps: MapsSection, labelled: LabelledSet, device: str, kept: KeptRows
) -> list[Measured]:
    """The figures of every row: read from its file, taken from another table, or measured; and written.

    Raises:
        UserError: see `measure` and `load_encoder`.
    """
    encoder, measured = None, []
    for number, row in enumerate(ROWS, start=1):
        name, title = f"rows/{row.key}.json", f"table4: row {number} of {len(ROWS)}, {row.key}"
        if directory.exists(name):
            measured.append(kept.read(directory, name))
            say(f"{title}: done already")
            continue
        result, before = kept.find(row), "measured for another table; "
        if result is None:
            encoder = encoder or load_encoder(maps.encoder.model, maps.encoder.weights, device=device)
            result, before = measure(row, maps, encoder, labelled), ""
        directory.write_json(name, kept.document(result))
        measured.append(result)
        say(f"{title}: {before}{_said(result)}")
    return measured


def _said(result: Measured) -> str:
    if result.not_run:
        return f"not run: {result.not_run}"
    figures = {
        "image AUROC": result.image_auroc,
        "pixel AUROC": result.pixel_auroc,
        "AUPRO": result.aupro,
    }
    parts = [f"{name} {value:.3f}" for name, value in figures.items() if value is not None]
    return ", ".join([*parts, f"{result.seconds_per_image:.3g} s an image"])
