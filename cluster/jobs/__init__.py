"""jobs on a far cluster: submitted, shipped, followed."""
