"""A FastMCP server on loopback: echo, slow progress, and what request headers reached it."""

import argparse
import asyncio
import json
import socket

import mcp_types
import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_http_request

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, default=0)
options.add_argument("--record")
options.add_argument("--stateless", action="store_true")
options = options.parse_args()

mcp = FastMCP("fastmcp")


@mcp.tool
def echo(message: str) -> str:
    """Says it back."""
    return f"Echo: {message}"


@mcp.tool
async def slow_progress(ctx: Context, steps: int = 4, pauseMs: int = 150) -> str:
    """Reports progress while it works."""
    for step in range(1, steps + 1):
        await asyncio.sleep(pauseMs / 1000)
        await ctx.report_progress(step, steps)
    return f"Done after {steps} steps."


@mcp.tool
async def announce(ctx: Context) -> str:
    """Announces a change of the tool list outside of this call."""
    await ctx.send_notification(mcp_types.ToolListChangedNotification())
    return "Announced."


@mcp.tool
def whoami_headers() -> list[list[str]]:
    """Returns the request headers that the server saw, in their order."""
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in get_http_request().headers.raw]


class Recorder:
    """Appends the head of every request to a file."""

    def __init__(self, app, file):
        self.app, self.file = app, file

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            query = scope["query_string"].decode("latin-1")
            head = {
                "method": scope["method"],
                "url": scope["path"] + (f"?{query}" if query else ""),
                "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
            }
            with open(self.file, "a") as out:
                out.write(json.dumps(head) + "\n")
        await self.app(scope, receive, send)


app = mcp.http_app(path="/mcp", stateless_http=options.stateless)
if options.record:
    app = Recorder(app, options.record)
listener = socket.create_server(("127.0.0.1", options.port))
server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))


async def main():
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        print(json.dumps({"ready": True, "url": url}), flush=True)
    await serving


asyncio.run(main())
