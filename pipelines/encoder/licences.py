"""Licences of the weights that maps and trainings begin with: one table, and what the libraries say."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from pipelines.encoder.names import PRESETS, SHIPPED

# By origin, the first that fits. What an origin's own page says counts, not the licence of its code.
TABLE = (
    (SHIPPED, "AGPL-3.0-or-later"),  # trained by `agssp train encoder` on generated surfaces
    ("efficientnet-lite0", "Apache-2.0"),
    ("open_clip/*/dfn*", "Apple's licence for research models (apple-amlr): research alone"),
    ("open_clip/*/openai", "MIT"),
    ("open_clip/*/laion*", "MIT"),
    ("open_clip/*/datacomp*", "MIT"),
    ("open_clip/*/metaclip*", "CC-BY-NC-4.0: no commercial use"),
    ("open_clip/*/webli", "Apache-2.0"),
    ("ultralytics/*", "AGPL-3.0"),
    ("transformers/lw-detr-*", "Apache-2.0"),
    ("transformers/rf-detr-*", "Apache-2.0"),  # nano, small, medium and base; larger ones are not
)
# How timm writes licences, where it isn't the name that everyone knows.
TIMM_NAMES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-nc-4.0": "CC-BY-NC-4.0: no commercial use",
    "dinov3-license": "Meta's DINOv3 licence",
}
SILENT = ("", "other", "unknown", "none")
UNKNOWN = "unknown"
LONGEST = 200  # characters of what a file says of itself
LICENCES = "licences"  # of a weights file's metadata: licence by what its weights come from


def licence_of(origin: str) -> str:
    """The licence of weights, or `unknown: WHY`.

    Args:
        origin: `surface-clip`, `efficientnet-lite0`, `open_clip/ARCHITECTURE/TAG`, `timm/NAME`,
            `ultralytics/NAME`, `transformers/NAME`, or any other text, of which nothing is known.
    """
    for pattern, licence in TABLE:
        if fnmatchcase(origin, pattern):
            return licence
    library, _, name = origin.partition("/")
    if library == "timm":
        return _timm_licence(name)
    return f"{UNKNOWN}: {library} names none; read the page of {name or origin}"


def _timm_licence(name: str) -> str:
    import timm  # brings PyTorch

    try:
        config: Any = timm.models.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        config = None
    said = str(getattr(config, "license", None) or "").strip().lower()
    if said in SILENT:
        return f"{UNKNOWN}: timm names none; read the page of {name}"
    return TIMM_NAMES.get(said, said)


def encoder_licence(model: str, weights: str | None = None) -> str:
    """The licence of an encoder's weights.

    Args:
        model, weights: as in `maps.encoder`.
    """
    if model == SHIPPED:
        return licence_of(SHIPPED)
    if model in PRESETS:
        model, tag = PRESETS[model]
        weights = weights or tag
    if weights is None or "." in weights or "/" in weights or model.endswith(".json"):
        return f"{UNKNOWN}: a file or folder of yours"
    return licence_of(f"open_clip/{model.replace('/', '-')}/{weights}")


def map_licences(record: Mapping[str, Any]) -> dict[str, str]:
    """Licences of the weights behind maps, by whose they are; none where the record names no encoder.

    Args:
        record: the maps artifact's.
    """
    config = record.get("config", {})
    encoder, bank = config.get("encoder"), config.get("bank")
    if encoder is None:
        return {}
    found = {f"encoder {encoder['model']}": encoder_licence(encoder["model"], encoder["weights"])}
    if bank is not None and bank["encoder"] != "clip":
        found[f"bank {bank['encoder']}"] = bank_licence(bank["encoder"], bank["weights"])
    features = config.get("painted")  # of the learnt head; other methods' maps name none
    if features is not None and features["encoder"] != "clip":
        found[f"features {features['encoder']}"] = bank_licence(features["encoder"], features["weights"])
    return found


def bank_licence(encoder: str, weights: str | None) -> str:
    """The licence of a memory bank's weights.

    Args:
        encoder, weights: as in `maps.bank`, of another encoder than `clip`.
    """
    return licence_of(encoder) if weights is None else f"{UNKNOWN}: a file of yours"


def written_licences(metadata: Mapping[str, Any], source: str) -> dict[str, str]:
    """What a weights file says of the licences behind it: none where it began from nothing.

    Args:
        metadata: the file's; its `licences` are ours, its `license` another library's. Nobody vouches for it.
        source: how messages name the file.
    """
    ours = metadata.get(LICENCES)
    if isinstance(ours, Mapping):
        return {_plain(str(name)): _plain(str(licence)) for name, licence in list(ours.items())[:64]}
    said = metadata.get("license")
    if isinstance(said, str) and said.strip():
        return {source: _plain(said)}
    return {source: f"{UNKNOWN}: the file does not say"}


def licences_text(licences: Mapping[str, str]) -> str:
    """One line, by name."""
    return "; ".join(f"{name}: {licence}" for name, licence in sorted(licences.items()))


def _plain(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:LONGEST]
