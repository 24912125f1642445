"""Where images come from: one root, or several, each with its layout and categories."""
