"""the Parquet tables: schemas, the one Ray Data job, the reader of a corpus' artifact, quarantine."""
