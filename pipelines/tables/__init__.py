"""the Parquet tables: schemas, the one Ray Data job, the reader of a corpus' artifact, quarantine."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
