from .candidates import settings_words
from .section import AuditSection
from .stage import AUDIT_FILE, SHEET_FILE, AuditInputs, audit_boxes
from .table import shown_rows
from .truth import spearman

__all__ = [
    "AUDIT_FILE",
    "SHEET_FILE",
    "AuditInputs",
    "AuditSection",
    "audit_boxes",
    "settings_words",
    "shown_rows",
    "spearman",
]
