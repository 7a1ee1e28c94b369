"""A FastMCP server on loopback: echo, slow progress, and what request headers reached it; open or behind OAuth."""

import argparse
import asyncio
import json
import socket

import mcp_types
import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from fastmcp.server.dependencies import get_http_request
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions
from starlette.responses import JSONResponse

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, default=0)
options.add_argument("--record")
options.add_argument("--stateless", action="store_true")
options.add_argument("--oauth", action="store_true", help="an authorization server of its own, which /test/ commands")
options = options.parse_args()

listener = socket.create_server(("127.0.0.1", options.port))
origin = f"http://127.0.0.1:{listener.getsockname()[1]}"


class Authorization(InMemoryOAuthProvider):
    """Registration, PKCE, rotation and revocation as FastMCP has them; whoever asks is let in."""

    def __init__(self):
        scopes = ["tools"]
        registration = ClientRegistrationOptions(enabled=True, valid_scopes=scopes, default_scopes=scopes)
        super().__init__(
            base_url=origin,
            client_registration_options=registration,
            revocation_options=RevocationOptions(enabled=True),
            required_scopes=scopes,
        )
        self.refreshes, self.issued = 0, []

    def note(self, tokens):
        self.issued += [tokens.access_token, tokens.refresh_token]
        return tokens

    async def exchange_authorization_code(self, client, authorization_code):
        return self.note(await super().exchange_authorization_code(client, authorization_code))

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        self.refreshes += 1
        return self.note(await super().exchange_refresh_token(client, refresh_token, scopes))


authorization = Authorization() if options.oauth else None
mcp = FastMCP("fastmcp", auth=authorization)


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


if authorization:

    @mcp.custom_route("/test/issued", methods=["GET"])
    async def issued(_):
        """Every secret that the authorization server gave away, and how many refreshes it saw."""
        secrets = [client.client_secret for client in authorization.clients.values() if client.client_secret]
        facts = {"refreshes": authorization.refreshes, "clients": len(authorization.clients)}
        return JSONResponse({"secrets": authorization.issued + secrets, **facts})

    @mcp.custom_route("/test/expire", methods=["POST"])
    async def expire(_):
        """Ends all access tokens; the refresh tokens live on."""
        authorization.access_tokens.clear()
        return JSONResponse({})

    @mcp.custom_route("/test/revoke", methods=["POST"])
    async def revoke(request):
        """Ends one access token together with its refresh token."""
        token = await authorization.load_access_token((await request.body()).decode())
        if not token:
            return JSONResponse({}, 404)
        await authorization.revoke_token(token)
        return JSONResponse({})


class Recorder:
    """Appends the head of every request for the MCP endpoint to a file."""

    def __init__(self, app, file):
        self.app, self.file = app, file

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/mcp":
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
server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))


async def main():
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        print(json.dumps({"ready": True, "url": f"{origin}/mcp"}), flush=True)
    await serving


asyncio.run(main())
