from .actor_pool import ACTOR_CPUS, actor_pool
from .box_sides import SIDES, box_array, sides
from .corpus_tables import REFERENCE, TRAIN, CorpusTables, LabelRow, ManifestRow
from .quarantine import check_bad_share
from .schemas import BAD_LABELS, BOXES, DUPLICATES, HASHES, IDENTITY, LABELLED_BOX, LABELS, LISTED, MANIFEST, NEAR_DUPLICATES, PREDICTED_BOX, PREDICTIONS, QUARANTINE, SIZE, THRESHOLDS
from .table_job import ROWS_PER_FILE, Step, read_columns, run_table_job, write_listing

__all__ = ["ACTOR_CPUS", "BAD_LABELS", "BOXES", "CorpusTables", "DUPLICATES", "HASHES", "IDENTITY", "LABELLED_BOX", "LABELS", "LISTED", "LabelRow", "MANIFEST", "ManifestRow", "NEAR_DUPLICATES", "PREDICTED_BOX", "PREDICTIONS", "QUARANTINE", "REFERENCE", "ROWS_PER_FILE", "SIDES", "SIZE", "Step", "THRESHOLDS", "TRAIN", "actor_pool", "box_array", "check_bad_share", "read_columns", "run_table_job", "sides", "write_listing"]
