"""The floors of the confusion matrix; apart, so that a config names them without numpy."""

CONFUSION_SCORE, CONFUSION_IOU = 0.25, 0.45  # ultralytics' validator's
