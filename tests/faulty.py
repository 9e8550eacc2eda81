"""A server on this machine that misbehaves when it is told to: statuses, lost answers, halves of files, silence."""

import asyncio
import hashlib
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple, TypeVar

from aiohttp import web


@dataclass
class Fault:
    """How one call goes wrong. Sizes are bytes, times seconds."""

    status: int | None = None  # answered, and nothing done
    message: str = "a fault of the stand-in"  # of that status
    headers: dict[str, str] = field(default_factory=dict)  # added to the answer
    body: str | None = None  # sent as HTML instead of the answer's own, or the error's own, body
    drop: str | None = None  # the connection: "before" anything is done, or "after" it was, before the answer
    cut: int | None = None  # the connection is dropped after so much of the answer; of an upload, after so much came in
    drip: tuple[int, float] | None = None  # the answer comes in pieces of that size, with that pause
    stall: float = 0.0  # silence before the answer, or before the cut


class Call(NamedTuple):
    method: str
    time: float
    body: dict
    authorization: str


class Answer(NamedTuple):
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = {"Content-Type": "application/json"}


class Refused(Exception):
    def __init__(self, status: int, message: str):
        self.status, self.message = status, message


class HungUp(Exception):
    pass


@dataclass(kw_only=True)
class Faulty:
    """A subclass gives `methods`, `route` and `answer`; a fault of a method is met by one call of it, in order."""

    skew: float = 0.0  # seconds that its clock is ahead
    faults: dict[str, list[dict]] = field(
        default_factory=dict
    )  # by method, the arguments of `fail`; then those to come
    requests: list[Call] = field(default_factory=list)  # what it was asked
    url: str = ""

    def __post_init__(self):
        given, self.faults = self.faults, defaultdict(list)
        for method, faults in given.items():
            for fault in faults:
                self.fail(method, **fault)

    def fail(self, method: str, times: int = 1, **fault) -> None:
        """The next call of a method goes wrong, or the next few; `fault`: the fields of a Fault."""
        if method not in self.methods():
            raise ValueError(f"{method!r} is none of: {', '.join(self.methods())}")
        self.faults[method] += [Fault(**fault) for _ in range(times)]

    def calls(self, *methods: str) -> list[str]:
        """The methods called so far, in order; of these only, if any are named."""
        return [call.method for call in self.requests if not methods or call.method in methods]

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.skew)

    def http_date(self, seconds: float = 0.0) -> str:
        """Its time in so many seconds, as in the header Retry-After."""
        return format_datetime(self.now() + timedelta(seconds=seconds), usegmt=True)

    def methods(self) -> list[str]:
        raise NotImplementedError

    def route(self, request: web.Request) -> str:
        """The method that a request calls."""
        raise NotImplementedError

    async def answer(self, method: str, body: dict, request: web.Request, fault: Fault) -> Answer:
        """Raises: Refused."""
        raise NotImplementedError

    def error(self, refusal: Refused) -> Answer:
        return Answer(json.dumps({"code": refusal.status, "message": refusal.message}).encode(), refusal.status)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method = self.route(request)
        body = json.loads(await request.read() or b"{}") if request.method == "POST" else {}
        self.requests.append(Call(method, time.time(), body, request.headers.get("Authorization", "")))
        fault = self.faults[method].pop(0) if self.faults[method] else Fault()
        try:
            if fault.drop == "before":
                raise HungUp
            try:
                if fault.status:
                    await request.read()
                    raise Refused(fault.status, fault.message)
                answer = await self.answer(method, body, request, fault)
            except Refused as refusal:
                answer = self.error(refusal)
            if fault.drop == "after":
                raise HungUp
            if fault.body is not None:
                answer = answer._replace(body=fault.body.encode(), headers={"Content-Type": "text/html"})
            return await self.send(request, answer, fault)
        except (HungUp, ConnectionError):  # we did, or the client did
            if request.transport:
                request.transport.close()
            return web.Response()

    async def send(self, request: web.Request, answer: Answer, fault: Fault) -> web.StreamResponse:
        size, pause = fault.drip or (1 << 20, 0)
        end = len(answer.body) if fault.cut is None else min(fault.cut, len(answer.body))
        if fault.cut is None:
            await asyncio.sleep(fault.stall)
        headers = {"Date": self.http_date(), "Content-Length": str(len(answer.body)), **answer.headers, **fault.headers}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        for start in range(0, end, size):
            await response.write(answer.body[start : min(start + size, end)])
            await asyncio.sleep(pause)
        if fault.cut is not None:
            await asyncio.sleep(fault.stall)
            raise HungUp
        await response.write_eof()
        return response

    async def start(self, port: int) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner


def download(request: web.Request, content: memoryview, modified: datetime, ranges: bool = True) -> Answer:
    """A file, or the part of it that is asked for with Range and If-Range."""
    headers = {
        "Content-Type": "application/zip",
        "ETag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"',
        "Last-Modified": format_datetime(modified, usegmt=True),
    }
    if not ranges:
        return Answer(content, 200, headers)
    headers["Accept-Ranges"] = "bytes"
    start, unless = request.http_range.start, request.headers.get("If-Range")
    if start is None or unless not in (None, headers["ETag"], headers["Last-Modified"]):
        return Answer(content, 200, headers)
    if start >= len(content):
        return Answer(b"", 416, {"Content-Range": f"bytes */{len(content)}"})
    part = content[request.http_range]
    headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
    return Answer(part, 206, headers)


async def receive(request: web.Request, content: bytearray, size: int, fault: Fault) -> Answer:
    """Adds to `content`, by Google's protocol of resumable uploads, what it lacks of `size` bytes."""
    where = request.headers.get("Content-Range", "bytes 0-")
    if not where.startswith("bytes */"):  # that only asks how far it came
        del content[int(where.removeprefix("bytes ").split("-")[0]) :]
        left = math.inf if fault.cut is None else fault.cut
        async for piece in request.content.iter_any():
            content += piece[: min(left, len(piece))]
            left -= len(piece)
            if left <= 0:
                await asyncio.sleep(fault.stall)
                raise HungUp
    if len(content) >= size:
        return Answer(b"{}")
    return Answer(b"", 308, {"Range": f"bytes=0-{len(content) - 1}"} if content else {})


Server = TypeVar("Server", bound=Faulty)


async def stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    unfinished = asyncio.all_tasks() - {asyncio.current_task()}  # who is still in a silence
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)


@contextmanager
def serving(server: Server, port: int = 0) -> Iterator[Server]:
    """It serves at `server.url`, in a thread of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(server.start(port), loop).result()
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(stop(runner), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
