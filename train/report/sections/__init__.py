"""The page's sections, one a module: a finished run goes in, what its template of the same name shows comes
out, or None where the run has nothing of it. `train/report/page.py` says in which order they stand."""
