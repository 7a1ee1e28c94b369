"""An MCP server of the Python SDK behind an authorization server made of the SDK's own parts, each at an origin of its own.

People sign in at a form, the MCP server asks about each token (RFC 7662), refresh tokens rotate and their replay ends the
grant. GET /test/issued, POST /test/expire and POST /test/end are as those of `protected.mjs`.
"""

import argparse
import asyncio
import json
import secrets
import socket
import time
from dataclasses import dataclass

import httpx
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, AuthorizationCode, RefreshToken, TokenError, construct_redirect_uri
from mcp.server.auth.routes import create_auth_routes
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.routing import Route

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, default=0)
options.add_argument("--record")
options.add_argument("--lifetime", type=int, default=5)
options = options.parse_args()

SCOPE = "tools"
PEOPLE = ("ada", "bob")  # whose password is their name


def listen(port):
    listener = socket.create_server(("127.0.0.1", port))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


resource_listener, origin = listen(options.port)
authorization_listener, issuer = listen(0)
url = f"{origin}/mcp"


@dataclass
class Grant:
    """What one person allowed one client."""

    subject: str
    client_id: str
    resource: str | None
    alive: bool = True


class Authorization:
    """The SDK's provider interface, in memory."""

    def __init__(self):
        self.clients, self.asked, self.codes, self.grants = {}, {}, {}, {}
        self.access, self.spent, self.secrets, self.seen = {}, {}, set(), []

    def note(self, endpoint, client, **facts):
        self.seen.append({"endpoint": endpoint, "client": client.client_id, **facts})

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client):
        self.clients[client.client_id] = client
        self.secrets.add(client.client_secret or "")
        self.note("registration", client, method=client.token_endpoint_auth_method)

    async def authorize(self, client, params):
        ticket = secrets.token_urlsafe(24)
        self.asked[ticket] = (client, params)
        self.note("authorization", client, resource=params.resource, scope=" ".join(params.scopes or []))
        return f"{issuer}/login?ticket={ticket}"

    def allow(self, ticket, subject):
        """What a person who has signed in allows: the way back to the client."""
        client, params = self.asked.pop(ticket)
        code = secrets.token_urlsafe(32)
        grant = Grant(subject, client.client_id, params.resource)
        self.secrets.add(code)
        self.codes[code] = grant, AuthorizationCode(
            code=code,
            scopes=params.scopes or [SCOPE],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            subject=subject,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state, iss=str(AnyHttpUrl(issuer)))

    async def load_authorization_code(self, client, code):
        return self.codes.get(code, (None, None))[1]

    async def exchange_authorization_code(self, client, code):
        grant, _ = self.codes.pop(code.code)
        return self.issue(client, grant, code.scopes, "authorization_code")

    async def load_refresh_token(self, client, token):
        if token in self.spent:
            self.spent[token].alive = False
        grant = self.grants.get(token)
        if not grant or not grant.alive or grant.client_id != client.client_id:
            return None
        return RefreshToken(token=token, client_id=grant.client_id, scopes=[SCOPE], resource=grant.resource, subject=grant.subject)

    async def exchange_refresh_token(self, client, token, scopes):
        grant = self.grants.pop(token.token, None)
        if grant is None:
            raise TokenError("invalid_grant")
        self.spent[token.token] = grant
        return self.issue(client, grant, scopes, "refresh_token")

    def issue(self, client, grant, scopes, kind):
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        end = int(time.time()) + options.lifetime
        self.access[access] = grant, AccessToken(
            token=access, client_id=grant.client_id, scopes=scopes, expires_at=end, resource=grant.resource, subject=grant.subject
        )
        self.grants[refresh] = grant
        self.secrets.update((access, refresh))
        self.note("token", client, grantType=kind, resource=grant.resource, status=200)
        return OAuthToken(access_token=access, expires_in=options.lifetime, refresh_token=refresh, scope=" ".join(scopes))

    async def load_access_token(self, token):
        grant, access = self.access.get(token, (None, None))
        return access if grant and grant.alive and access.expires_at > time.time() else None

    async def revoke_token(self, token):
        self.note("revocation", self.clients[token.client_id], token=type(token).__name__)
        grant = self.grants.get(token.token) or self.access.get(token.token, (None,))[0]
        if grant:
            grant.alive = False


class Introspection:
    """The MCP server's half: it knows nothing of the other's memory."""

    def __init__(self):
        self.expired = set()

    async def verify_token(self, token):
        async with httpx.AsyncClient() as http:
            answer = (await http.post(f"{issuer}/introspect", data={"token": token})).json()
        if token in self.expired or not answer["active"]:
            return None
        return AccessToken(
            token=token, client_id=answer["client_id"], scopes=answer["scope"].split(), expires_at=answer["exp"],
            resource=answer["aud"], subject=answer["sub"],
        )  # fmt: skip


authorization, verifier = Authorization(), Introspection()
mcp = MCPServer(
    "python-sdk",
    token_verifier=verifier,
    auth=AuthSettings(
        issuer_url=AnyHttpUrl(issuer),
        resource_server_url=AnyHttpUrl(url),
        required_scopes=[SCOPE],
        validate_token_resource=True,
    ),
)


@mcp.tool()
def echo(message: str) -> str:
    """Says it back."""
    return f"Echo: {message}"


@mcp.tool()
def whoami() -> str:
    """Whom the server takes the caller for."""
    token = get_access_token()
    return json.dumps({"subject": token.subject, "scopes": token.scopes, "client": token.client_id})


@mcp.custom_route("/test/issued", methods=["GET"])
async def issued(_):
    return JSONResponse({"secrets": sorted(authorization.secrets - {""}), "seen": authorization.seen})


@mcp.custom_route("/test/expire", methods=["POST"])
async def expire(_):
    verifier.expired.update(authorization.access)
    return JSONResponse({})


@mcp.custom_route("/test/end", methods=["POST"])
async def end(request):
    subject = (await request.body()).decode()
    for grant, _ in authorization.access.values():
        if grant.subject == subject:
            grant.alive = False
    return JSONResponse({})


async def introspect(request):
    token = await authorization.load_access_token((await request.form())["token"])
    if not token:
        return JSONResponse({"active": False})
    facts = {"client_id": token.client_id, "scope": " ".join(token.scopes), "exp": token.expires_at}
    return JSONResponse({"active": True, "sub": token.subject, "aud": token.resource, **facts})


FORM = """<!doctype html><html lang="en"><title>Sign in</title><form method="post">
<input name="username" autocomplete="username"><input name="password" type="password">
<button type="submit">Sign in and allow</button></form></html>"""


async def login(request):
    if request.method == "GET":
        return HTMLResponse(FORM)
    fields = await request.form()
    if fields["username"] not in PEOPLE or fields["username"] != fields["password"]:
        return HTMLResponse(FORM, 401)
    return RedirectResponse(authorization.allow(request.query_params["ticket"], fields["username"]), 302)


authorization_server = Starlette(
    routes=[
        *create_auth_routes(
            authorization,
            AnyHttpUrl(issuer),
            client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE], default_scopes=[SCOPE]),
            revocation_options=RevocationOptions(enabled=True),
        ),
        Route("/login", login, methods=["GET", "POST"]),
        Route("/introspect", introspect, methods=["POST"]),
    ]
)


class Recorder:
    """Appends the head of every request to a file."""

    def __init__(self, app, file):
        self.app, self.file = app, file

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and not scope["path"].startswith("/test/"):
            query = scope["query_string"].decode("latin-1")
            head = {
                "method": scope["method"],
                "url": scope["path"] + (f"?{query}" if query else ""),
                "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
            }
            with open(self.file, "a") as out:
                out.write(json.dumps(head) + "\n")
        await self.app(scope, receive, send)


def serving(app):
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))


async def main():
    app = mcp.streamable_http_app()
    servers = serving(Recorder(app, options.record) if options.record else app), serving(authorization_server)
    tasks = [
        asyncio.create_task(server.serve([listener]))
        for server, listener in zip(servers, (resource_listener, authorization_listener))
    ]
    while not all(server.started for server in servers) and not any(task.done() for task in tasks):
        await asyncio.sleep(0.01)
    if all(server.started for server in servers):
        print(json.dumps({"ready": True, "url": url}), flush=True)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)


asyncio.run(main())
