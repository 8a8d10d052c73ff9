"""The routes: /v1/moderations as OpenAI has it, /predict as we say it, /health, /ready and /metrics."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from train.bundle.manifest import Manifest
from train.server.asked import Inputs, Refused, moderations, predict
from train.server.batching import Batcher, Full, ModelFailed, Scored, Scores
from train.server.keys import Keys
from train.server.limits import Limits
from train.server.measures import Measures

T = TypeVar("T")
Reading = Callable[[bytes, Limits], Inputs]
GONE = 499
"""A status for /metrics alone, as nginx has it: the client did not wait for its answer."""


class Service:
    """A bundle's model behind its queue. draining: told to stop; what was taken in is still answered."""

    def __init__(
        self,
        manifest: Manifest,
        thresholds: Sequence[float],
        score: Callable[[Sequence[str]], Scores],
        limits: Limits,
        keys: Keys | None = None,
    ) -> None:
        self.manifest, self.limits, self.keys = manifest, limits, keys
        self.measures = Measures(manifest.names)
        self.thresholds = dict(zip(manifest.names, map(float, thresholds), strict=True))
        self.score, self.draining = score, False
        self.batcher: Batcher | None = None

    def tier(self, scored: Scored) -> int:
        """The highest tier of a flagged label; 0: allowed."""
        tiers = (label.tier for label, flag in zip(self.manifest.labels, scored.flags, strict=True) if flag)
        return max(tiers, default=0)

    def by_label(self, values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self.manifest.names, values, strict=True))


def app(service: Service) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batcher = Batcher(service.score, service.limits, service.measures)
        yield
        await service.batcher.close()

    # its documentation pages would load scripts from elsewhere
    made = FastAPI(title="teensafe", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @made.exception_handler(HTTPException)
    async def no_such_route(request: Request, error: HTTPException) -> Response:
        what = f"{error.detail}: POST /v1/moderations or /predict; GET /health, /ready or /metrics"
        return JSONResponse(
            Refused(error.status_code, what, "no_such_route").body(), error.status_code, error.headers
        )

    @made.post("/v1/moderations")
    async def moderate(request: Request) -> Response:
        return await _answered(service, request, moderations, _as_moderation)

    @made.post("/predict")
    async def prediction(request: Request) -> Response:
        return await _answered(service, request, predict, _as_prediction)

    @made.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @made.get("/ready")
    async def ready() -> Response:
        if service.draining:
            return _last(service, JSONResponse({"status": "draining"}, 503))
        return JSONResponse({"status": "ready", "model": service.manifest.name})

    @made.get("/metrics")
    async def metrics() -> Response:
        return Response(service.measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return made


async def _answered(
    service: Service,
    request: Request,
    reading: Reading,
    written: Callable[[Service, Inputs, list[Scored]], dict[str, Any]],
) -> Response:
    """The answer, whatever happens, counted by its status."""
    begun = time.perf_counter()
    try:
        found = await _scored(service, request, reading)
        service.measures.answered([one.flags for one in found[1]])
        answer = JSONResponse(written(service, *found))
    except Refused as refused:
        more = {429: {"Retry-After": "1"}, 401: {"WWW-Authenticate": "Bearer"}}.get(refused.status)
        answer = JSONResponse(refused.body(), refused.status, more)
    service.measures.request(request.url.path, answer.status_code, time.perf_counter() - begun)
    return _last(service, answer)


def _last(service: Service, answer: Response) -> Response:
    """An answer; while draining the last one of its connection, so that a client asks elsewhere next."""
    if service.draining:
        answer.headers["connection"] = "close"
    return answer


async def _scored(service: Service, request: Request, reading: Reading) -> tuple[Inputs, list[Scored]]:
    """Raises Refused."""
    limits = service.limits
    if service.keys is not None and not service.keys.allow(request.headers.get("authorization")):
        raise Refused(401, "no known key: send `Authorization: Bearer KEY`", "invalid_api_key")
    assert service.batcher is not None  # the lifespan made it
    try:
        async with asyncio.timeout(limits.timeout):
            inputs = reading(await _body(request, limits), limits)
            return inputs, await _while_connected(request, service.batcher.scores(inputs.texts))
    except Full:
        what = f"{limits.queue} texts at most may wait, and these are too many: come again in a second"
        raise Refused(429, what, "queue_full") from None
    except TimeoutError:
        what = f"no answer within {limits.timeout:g} seconds: come again, with fewer texts"
        raise Refused(504, what, "timeout") from None
    except ModelFailed:
        what = "the model failed on this batch; the server goes on: come again, or look at its log"
        raise Refused(500, what, "model_failed") from None
    except ClientDisconnect:
        raise Refused(GONE, "nobody waits for this answer", "disconnected") from None


async def _while_connected(request: Request, work: Awaitable[T]) -> T:
    """What `work` returns. Cancels it and raises ClientDisconnect where the client goes before."""
    asked, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise ClientDisconnect
        return asked.result()
    finally:
        asked.cancel()
        gone.cancel()


async def _body(request: Request, limits: Limits) -> bytes:
    """Read no more than the limit, whatever Content-Length says."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limits.body:
            what = f"the body is longer than {limits.body:,} bytes: send fewer or shorter texts"
            raise Refused(413, what, "body_too_long")
        parts.append(part)
    return b"".join(parts)


def _as_moderation(service: Service, _: Inputs, found: list[Scored]) -> dict[str, Any]:
    """OpenAI's shape; `tier` and `thresholds` are ours, which its clients keep as extra fields."""
    text_only = service.by_label([["text"]] * len(service.manifest.names))
    return {
        "id": f"modr-{secrets.token_hex(12)}",
        "model": service.manifest.name,
        "results": [
            {
                "flagged": bool(one.flags.any()),
                "categories": service.by_label(one.flags.tolist()),
                "category_scores": service.by_label(one.probabilities.tolist()),
                "category_applied_input_types": text_only,
                "tier": service.tier(one),
                "thresholds": service.thresholds,
            }
            for one in found
        ],
    }


def _as_prediction(service: Service, inputs: Inputs, found: list[Scored]) -> dict[str, Any]:
    return {
        "model": service.manifest.name,
        "manifest_sha256": service.manifest.self_sha256,
        "results": [
            {
                "id": id,
                "scores": service.by_label(one.probabilities.tolist()),
                "flags": service.by_label(one.flags.tolist()),
                "tier": service.tier(one),
            }
            for id, one in zip(inputs.ids, found, strict=True)
        ],
    }
