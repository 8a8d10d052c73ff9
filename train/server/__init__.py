"""A bundle over HTTP: the reference server, and guides to servers that people already run."""
