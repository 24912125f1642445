"""Proposes normal references of a corpus: looks at images, writes the page and the config's lines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.errors import UserError, nearest
from cluster.progress import progress, say
from cluster.storage import Storage
from pipelines.category_names import find_category
from pipelines.corpus import CorpusSection, Listing
from pipelines.device import best_device
from pipelines.encoder import load_encoder
from pipelines.maps import KeAD, MapsSection, check_sentences
from pipelines.references.page import config_patch, picture_name, render_page, render_picture
from pipelines.references.proposal import CategoryProposal, eligible_images, propose

PAGE, PATCH = "references.html", "references.yaml"


def propose_references(
    title: str,
    section: CorpusSection,
    maps: MapsSection,
    *,
    count: int,
    folder: Path,
    category: str | None,
    sample: int,
) -> Mapping[str, Any]:
    """Propose references, write page, pictures and YAML, and report the proposals, JSON-able.

    Args:
        title: the page's title.
        section, maps: config of the images; config of encoder and prompts.
        count: references of each category.
        folder: folder for the page, the pictures and the YAML.
        category: the only category; None takes those with too few references.
        sample: most images looked at per category.

    Raises:
        UserError: no images, unknown category, no prompts or too long ones, too few images, a folder
            that can't be written.
    """
    if not section.root and not section.sources:
        raise UserError("corpus.root is not set; give the folder whose images may serve as references.")
    if sample < count:
        raise UserError(f"--sample {sample} must be at least --count {count}.")
    listing = Listing(section)
    categories = _categories(listing, section, maps.shots, category)
    prompts = maps.prompts_of(categories)
    check_sentences(maps, categories)
    with _made(folder):
        encoder = load_encoder(maps.encoder.model, maps.encoder.weights, device=best_device())
        kead = KeAD(encoder, maps.kead.model_copy(update={"shots": 0}))
        proposals: list[CategoryProposal] = []
        for name in categories:
            total = min(sample, len(eligible_images(listing, name)))
            with progress(f"{name}: looking at images", total) as bar:
                proposals.append(
                    propose(
                        listing,
                        name,
                        kead=kead,
                        tiling=maps,
                        prompts=prompts[name],
                        count=count,
                        sample=sample,
                        test_share=section.test_share,
                        advance=bar.advance,
                    )
                )
        return _write(proposals, title, config_patch(proposals, section), Storage.open(str(folder)))


def _categories(listing: Listing, section: CorpusSection, shots: int, category: str | None) -> list[str]:
    """The categories to propose for."""
    candidates = listing.reference_candidates(section)
    if category is not None:
        known = find_category(category, candidates, "--category")
        if known is None:
            raise UserError(
                f'--category "{category}" is no category of the corpus; {nearest(category, candidates)}'
            )
        return [known]
    lacking = sorted(name for name, some in candidates.items() if some.available < max(shots, 1))
    if not lacking:
        raise UserError(
            "Every category has its normal references; to propose others, name one with --category NAME."
        )
    return lacking


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes the folder before the work, so that a fault shows at once; removes a new one that stays empty."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {folder} can't be made ({error.strerror}); give another --out."
        ) from None
    try:
        yield
    finally:
        if new and not any(folder.iterdir()):
            folder.rmdir()


def _write(
    proposals: Sequence[CategoryProposal], title: str, patch: str, folder: Storage
) -> Mapping[str, Any]:
    files = {
        picture_name(n, each.category): render_picture(each) for n, each in enumerate(proposals, start=1)
    }
    files |= {
        PAGE: render_page(proposals, title, patch).encode("utf-8", "backslashreplace"),
        PATCH: patch.encode(),
    }
    try:
        for name, data in files.items():
            folder.write(name, data)
    except OSError as error:
        raise UserError(f"{folder.uri} can't be written ({error.strerror}); give another --out.") from None
    for each in proposals:
        if each.skipped:
            path, reason = each.skipped[0]
            say(f"{each.category}: {len(each.skipped)} images can't be read (first: {path}: {reason}).")
        said = f"{len(each.proposals)} proposed of {each.sampled} looked at"
        say(f"{each.category}: {said} ({each.eligible} have no defect label).")
    say(
        f"Look at {folder.uri}/{PAGE}. If all are normal, put these lines into the config "
        '(below its "corpus:", if it has one):'
    )
    return {
        "page": f"{folder.uri}/{PAGE}",
        "pictures": [f"{folder.uri}/{name}" for name in files if name not in (PAGE, PATCH)],
        "patch_file": f"{folder.uri}/{PATCH}",
        "patch": patch,
        "categories": [
            {
                "category": each.category,
                "eligible": each.eligible,
                "sampled": each.sampled,
                "unreadable": len(each.skipped),
                "proposals": [
                    {
                        "path": pick.path,
                        "uri": pick.uri,
                        "score": pick.score,
                        "rank": pick.rank,
                        "represents": pick.represents,
                    }
                    for pick in each.proposals
                ],
            }
            for each in proposals
        ],
    }
