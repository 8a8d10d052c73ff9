"""Producing data to a standard: in go raw sources, out comes a delivery that recipes name."""
