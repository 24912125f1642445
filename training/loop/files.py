"""Names in the artifact of every stage that trains."""

START_FILE = "start.safetensors"  # the model before its first step; workers build theirs from it
HISTORY_FILE = "history.parquet"  # a row per epoch
TRAINING = "training"  # folder of the checkpoints, gone when the stage is complete
KEPT = "kept"  # folder of the weights that `keep_best` asks for
