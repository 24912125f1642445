"""Ray Tune: threshold and epoch sweeps, ablation studies, the papers' tables."""
