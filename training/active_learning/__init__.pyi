from .comparison_stage import compare_versions
from .grown import grown_labels, grown_section, held_out_digest, keep_held_out
from .page import PAGE_FILE, points, render_page, share
from .returned import KEPT, LABELLED, TO_LABEL, Returned, keep_labels, read_returned
from .rounds import ASKED, DECISION, LABELS, STAGE, Round, named, now, open_round, read_rounds
from .section import ActiveLearningSection
from .standing import Standing, standing_of

__all__ = [
    "ASKED",
    "DECISION",
    "KEPT",
    "LABELLED",
    "LABELS",
    "PAGE_FILE",
    "STAGE",
    "TO_LABEL",
    "ActiveLearningSection",
    "Returned",
    "Round",
    "Standing",
    "compare_versions",
    "grown_labels",
    "grown_section",
    "held_out_digest",
    "keep_held_out",
    "keep_labels",
    "named",
    "now",
    "open_round",
    "points",
    "read_returned",
    "read_rounds",
    "render_page",
    "share",
    "standing_of",
]
