"""The floors of the confusion matrix; in a file of their own, so that a config needs no numpy."""

CONFUSION_SCORE, CONFUSION_IOU = 0.25, 0.45  # ultralytics' validator's
