"""the method's ablation on labelled images."""
