"""Run by test_memory: MEGABYTES, a recipe and overrides; prints the losses."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from tests.updating import begin, job_of, losses, optimizer_of


def main() -> None:
    job = job_of(Path(sys.argv[2]), *sys.argv[3:])
    classifier = begin(job)
    adam = optimizer_of(job, classifier)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    json.dump(losses(job, classifier, adam), sys.stdout)


main()
