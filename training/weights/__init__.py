"""tensors in files, and into models part by part."""
