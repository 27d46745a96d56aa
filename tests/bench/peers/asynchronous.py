"""The fast alternative: Starlette and aiohttp, on one event loop. It passes the call on."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

URL = os.environ["UPSTREAM"] + "/contacts/block"
HEADERS = {"Authorization": "Bearer " + os.environ["TOKEN"]}
CA_FILE = os.environ.get("CA_FILE")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    tls = ssl.create_default_context(cafile=CA_FILE) if CA_FILE else True
    app.state.session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=2048, ssl=tls),
        headers=HEADERS,
        timeout=aiohttp.ClientTimeout(total=15),
    )
    async with app.state.session:
        yield


async def block(request: Request) -> JSONResponse:
    jid = (await request.json())["number"] + "@s.whatsapp.net"
    async with request.app.state.session.post(URL, json={"jid": jid}) as response:
        return JSONResponse(await response.json(), response.status)


app = Starlette(routes=[Route("/block", block, methods=["POST"])], lifespan=lifespan)
