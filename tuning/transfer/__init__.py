"""which start suits your images."""
