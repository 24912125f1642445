"""The words for starts: what a finetuning may begin with."""

SCRATCH, AGBP, AGSSP = "scratch", "agbp", "agssp"


OWN_STARTS = (SCRATCH, AGBP, AGSSP)


PUBLISHED = ("imagenet", "coco")  # published by the model's own library
