"""Sets made to put a model to the test."""
