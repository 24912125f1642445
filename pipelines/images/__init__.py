"""pixels of a file or URI; deep images; connected components."""
