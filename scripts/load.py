#!/usr/bin/env python3
"""How much a server takes: `teensafe serve` under 1, 8, 64 and 512 connections, beside transformers.pipeline.

    .venv/bin/python scripts/load.py BUNDLE --input comments.csv [--seconds 10] [options of serve]

It starts the server on a free port, asks with keep-alive connections, each as soon as it has its answer, and
stops it with SIGTERM while requests are under way. Who is told to come again (429) waits a moment. Lost: a
request that got neither an answer nor a refusal. Only after SIGTERM a connection that ends before the first
byte of an answer is counted apart, as closed: its request came too late to be read. Seconds are of answers
with scores. Client, server and pipeline share this machine, and take turns but for client and server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil

from train.serving.score import records

PIPELINE = """
import json, sys, time
from transformers import pipeline
texts = json.load(sys.stdin)
classify = pipeline("text-classification", sys.argv[1], top_k=None, truncation=True, device="cpu")
classify(texts[:64], batch_size=32)
begun = time.perf_counter()
classify(texts, batch_size=32)
print(len(texts) / (time.perf_counter() - begun))
"""


@dataclass
class Told:
    """What the connections of one round saw. seconds: of each answer with scores."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    closed: int = 0


async def ask(port: int, texts: list[str], each: int, until: float, told: Told, patience: float = 60) -> None:
    """One connection, until the time is up or the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    coming = cycle(texts)
    while time.perf_counter() < until:
        body = json.dumps({"inputs": [{"text": text} for text in islice(coming, each)]}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        begun = time.perf_counter()
        try:
            writer.write(head + body)
            await writer.drain()
            status, closing = await asyncio.wait_for(answer(reader), patience)
        except asyncio.IncompleteReadError as end:
            told.lost += bool(end.partial)
            told.closed += not end.partial
            break
        except (OSError, TimeoutError):
            told.lost += 1
            break
        told.statuses[status] += 1
        if status == 200:
            told.seconds.append(time.perf_counter() - begun)
        if closing:
            break
        if status == 429:
            await asyncio.sleep(0.05)
    writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """(status, whether the server closes the connection after it)."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), headers.get("connection") == "close"


async def round_(port: int, texts: list[str], each: int, connections: int, seconds: float) -> Told:
    told, until = Told(), time.perf_counter() + seconds
    starts = [texts[n % len(texts) :] + texts[: n % len(texts)] for n in range(connections)]
    await asyncio.gather(*(ask(port, mine, each, until, told) for mine in starts))
    told.lost += told.closed  # nobody told the server to stop
    return told


def shown(connections: int, each: int, told: Told, seconds: float, memory: tuple[int, int]) -> str:
    ms = np.array(told.seconds or [np.nan]) * 1000
    asked, answered, full = told.statuses.total(), told.statuses[200], told.statuses[429]
    before, after = (size / 1e6 for size in memory)
    return (
        f"{connections:11} {asked / seconds:11.0f} {answered * each / seconds:8.0f} "
        f"{np.quantile(ms, 0.5):8.1f} {np.quantile(ms, 0.99):8.1f} {answered:7} {full:7} "
        f"{asked - answered - full:6} {told.lost:5} {before:7.0f} {after:6.0f}"
    )


def start(bundle: Path, more: list[str]) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "train.cli", "serve", str(bundle), "--port", "0", *more]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr
    for line in server.stderr:
        if " at http://" in line:
            return server, int(line.rstrip().rpartition(":")[2])
    raise SystemExit("the server did not start")


async def drain(server: subprocess.Popen[str], port: int, texts: list[str]) -> tuple[Told, float]:
    """SIGTERM under 64 busy connections: what they saw, and the seconds to the server's end."""
    told, until = Told(), time.perf_counter() + 30
    asking = [asyncio.create_task(ask(port, texts[n:] + texts[:n], 1, until, told)) for n in range(64)]
    await asyncio.sleep(2)
    begun = time.perf_counter()
    server.send_signal(signal.SIGTERM)
    await asyncio.gather(*asking)
    await asyncio.to_thread(server.wait, 60)
    return told, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--input", type=Path, required=True, help="texts, as `teensafe score` reads them")
    parser.add_argument("--texts", type=int, default=2048, help="how many of them")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--each", type=int, default=1, help="texts of a request")
    options, more = parser.parse_known_args()
    texts = [text for _, text in islice(records(options.input), options.texts)]
    plain = [sys.executable, "-c", PIPELINE, str(options.bundle / "model")]
    asked = json.dumps(texts)
    speed = float(subprocess.run(plain, input=asked, capture_output=True, text=True, check=True).stdout)
    print(f"transformers.pipeline, batch_size=32, torch fp32: {speed:.0f} texts a second")
    server, port = start(options.bundle, more)
    memory = psutil.Process(server.pid)
    print("connections  requests/s  texts/s   p50 ms   p99 ms     200     429  other  lost  RSS MB, after")
    for connections in options.connections:
        begun, before = time.perf_counter(), memory.memory_info().rss
        told = asyncio.run(round_(port, texts, options.each, connections, options.seconds))
        seconds, after = time.perf_counter() - begun, memory.memory_info().rss
        print(shown(connections, options.each, told, seconds, (before, after)), flush=True)
    told, seconds = asyncio.run(drain(server, port, texts))
    print(
        f"SIGTERM under 64 connections: {told.statuses.total()} answered, {told.lost} lost, "
        f"{told.closed} closed unread, "
        f"exit code {server.returncode} after {seconds:.2f} s"
    )


if __name__ == "__main__":
    main()
