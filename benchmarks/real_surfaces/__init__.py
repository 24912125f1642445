"""What pretraining gains on real surfaces, against what people use today; `run` is the benchmark."""
