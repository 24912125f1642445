"""`agssp view`: stored maps browsed, thresholds tried, images, boxes and references accepted or rejected."""
