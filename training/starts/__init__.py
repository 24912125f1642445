"""which weights a training begins with: words, files, registry."""
