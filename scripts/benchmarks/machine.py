"""What was measured on, and what it can do at most."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "peft", "accelerate")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, packages, and what it reaches in a large matrix product, measured now."""
    import torch

    from train.model.footprint import multiplication_rate

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "processor": _processor() if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "packages": {name: version(name) for name in PACKAGES},
        "gflops": {
            precision: round(multiplication_rate(device, precision) / 1e9) for precision in ("bf16", "fp32")
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
