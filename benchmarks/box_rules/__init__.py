"""Which rule and settings make boxes that meet defects, chosen on images that are not reported."""
