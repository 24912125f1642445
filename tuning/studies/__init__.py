"""declared studies: the papers' tables and figures."""
