"""What anyone would try first, on a run's own rows and judged as the run is."""
