"""Dataset layouts, one file each: what a folder of images means, as it was published."""
