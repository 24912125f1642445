"""pure numbers: COCO AP, confusion, IoU of pixels."""
