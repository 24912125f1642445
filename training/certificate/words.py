"""What a certificate says in words: its findings, and what it does not know."""

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.verdicts import Verdict
from training.certificate.leak import Leak
from training.certificate.pod import Pod


def percent(row: Mapping[str, Any]) -> str:
    """`83.1 % (74.0–90.2)`; a dash of nothing."""
    if row["share"] is None:
        return "–"
    return f"{100 * row['share']:.1f} % ({100 * row['low']:.1f}–{100 * row['high']:.1f})"


def verdicts(document: Mapping[str, Any], leak: Leak, pod: Pod, unit: str) -> list[Verdict]:
    """The findings, the leak first."""
    kind = "leak" if leak.seen else "clean" if leak.known else "leak_unknown"
    told = [Verdict(kind, leak.sentence(document["data"]["test_images"]))]
    recall, calls = document["recall"], document["false_calls"]["all"]
    ends = (
        "too few images for an interval"
        if calls["low"] is None
        else f"{calls['low']:.2f}–{calls['high']:.2f}"
    )
    told.append(
        Verdict(
            "recall",
            f"Found: {recall['all']['count']} of {recall['all']['of']} defects, {percent(recall['all'])}; "
            f"false calls in an image: {calls['mean']:.2f} ({ends}).",
        )
    )
    told.append(Verdict("pod" if pod.curve is not None else "no_pod", pod_sentence(pod, unit)))
    worse = [
        f"{row['title']} ({100 * row['recall']['difference']:+.1f} points)"
        for row in document["robustness"]
        if row["recall"]["high"] is not None and row["recall"]["high"] < 0
    ]
    if not pod.hits:
        told.append(Verdict("robustness", "No defect was found, so no change can tell how robust that is."))
        return told
    if all(row["recall"]["high"] is None for row in document["robustness"]):
        told.append(Verdict("robustness", "Too few images to tell what a change of them costs."))
        return told
    told.append(
        Verdict(
            "robustness",
            f"It finds fewer defects in images changed so: {'; '.join(worse)}."
            if worse
            else "No change of the images that was tried costs recall beyond chance; the intervals say how "
            "much it may cost.",
        )
    )
    return told


def pod_sentence(pod: Pod, unit: str) -> str:
    """The sizes, or why they aren't told."""
    if pod.curve is None:
        return f"No probability of detection: {pod.why_not}"
    names = {"a50": "a50", "a90": "a90", "a90_95": "a90/95"}
    told = [
        f"{names[name]} = {size:.3g} {unit}"
        if size is not None
        else f"{names[name]} {pod.reasons[name].rstrip('.')}"
        for name, size in pod.sizes.items()
    ]
    return f"Probability of detection by size: {'; '.join(told)}."


def not_measured(document: Mapping[str, Any], leak: Leak, pod: Pod) -> Sequence[str]:
    """What nobody may read into the figures."""
    told = [] if leak.known else ["Whether the detector has seen the test part: see the leak check."]
    if pod.curve is None:
        told.append("The size above which 90 % of defects are found.")
    told += [
        "The right class: a box finds a defect whatever it calls it.",
        "Defects of kinds, parts, materials or plants that are not in the test part; the figures hold for "
        "defects and images like these.",
        "Whether the labels are right: a defect that nobody labelled counts as a false call, and one that is "
        "labelled too large or too small is harder to find.",
        "Dirt, damaged lenses, moved cameras, other lamps or parts beyond the changes that are listed.",
        "Decoding and transport of images, and several at once: the latency is of one decoded image.",
        "The operator: what a person does with a box.",
    ]
    if not document["false_calls"]["normal"]["images"]:
        told.append("False calls on images without a defect: the test part has none.")
    if document["model"]["code_version"] == document["unsaid"]:
        told.append("Code and seeds of the training: the registry does not say.")
    return told
