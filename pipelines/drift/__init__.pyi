from .findings import DRIFT_TABLE
from .fingerprint_stage import FINGERPRINT_FILE, fingerprint, fingerprint_schema
from .listing import Corpus, as_files, corpus_images, new_images
from .section import DriftSection
from .stage import DRIFT_IMAGES, PAGE_FILE, TABLE_FILE, DriftSources, NoVerdictError, find_drift

__all__ = [
    "DRIFT_IMAGES",
    "DRIFT_TABLE",
    "FINGERPRINT_FILE",
    "PAGE_FILE",
    "TABLE_FILE",
    "Corpus",
    "DriftSection",
    "DriftSources",
    "NoVerdictError",
    "as_files",
    "corpus_images",
    "find_drift",
    "fingerprint",
    "fingerprint_schema",
    "new_images",
]
