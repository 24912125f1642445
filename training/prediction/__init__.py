"""a trained detector on images."""
