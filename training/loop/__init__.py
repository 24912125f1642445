"""one training loop, here or on Ray Train; knows no image."""
