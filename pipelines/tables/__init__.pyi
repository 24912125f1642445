from .actor_pool import ACTOR_CPUS, actor_pool
from .corpus_tables import held_out_ids, read_labels
from .quarantine import check_bad_share
from .schemas import (
    BAD_LABELS,
    BOXES,
    DUPLICATES,
    HASHES,
    IDENTITY,
    LABELLED_BOX,
    LABELS,
    LISTED,
    MANIFEST,
    NEAR_DUPLICATES,
    PREDICTED_BOX,
    PREDICTIONS,
    QUARANTINE,
    SIZE,
    THRESHOLDS,
)
from .table_job import ROWS_PER_FILE, Step, read_columns, run_table_job, write_listing

__all__ = [
    "ACTOR_CPUS",
    "BAD_LABELS",
    "BOXES",
    "DUPLICATES",
    "HASHES",
    "IDENTITY",
    "LABELLED_BOX",
    "LABELS",
    "LISTED",
    "MANIFEST",
    "NEAR_DUPLICATES",
    "PREDICTED_BOX",
    "PREDICTIONS",
    "QUARANTINE",
    "ROWS_PER_FILE",
    "SIZE",
    "THRESHOLDS",
    "Step",
    "actor_pool",
    "check_bad_share",
    "held_out_ids",
    "read_columns",
    "read_labels",
    "run_table_job",
    "write_listing",
]
