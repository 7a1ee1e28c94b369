"""The Python SDK (`mcp`, 2.x and 1.x) with its own OAuth code (`OAuthClientProvider`)."""

import argparse
import asyncio
import contextlib
import json
import os
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

try:
    import httpx2 as httpx
    from mcp import Client
    from mcp.shared.auth import AuthorizationCodeResult
except ImportError:  # mcp 1.x
    import httpx
    from mcp import ClientSession

    Client = None

BROWSER = Path(__file__).resolve().parent.parent / "browser.mjs"


class Failure(Exception):
    """A step did not go as it must."""


def check(condition, message):
    if not condition:
        raise Failure(message)


@contextlib.asynccontextmanager
async def step(name):
    """One JSON line; the first failed step ends the driver."""
    facts, started = {}, time.monotonic()
    try:
        yield facts
    except Exception as error:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print(json.dumps({"step": name, "ok": False, "error": f"{type(error).__name__}: {error}"}), flush=True)
        if os.environ.get("DEBUG"):
            raise
        os._exit(1)
    print(json.dumps({"step": name, "ok": True, "ms": round((time.monotonic() - started) * 1000), **facts}), flush=True)


class Storage:
    """A token store in memory."""

    def __init__(self, secret):
        self.tokens = self.client = None
        self.secret = secret

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.secret(tokens.access_token)
        self.secret(tokens.refresh_token)
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.secret(client.client_secret)
        self.client = client


class Application:
    """One client application: its store, its provider, what went over its wire, its connection."""

    def __init__(self, name, options, jar):
        self.options, self.jar, self.wire, self.visited = options, jar, [], []
        self.storage = Storage(self.secret)
        # Nothing listens there: the browser hands the redirect over instead of following it.
        redirect = f"http://127.0.0.1:{random.randint(40000, 59999)}/callback/{secrets.token_hex(6)}"
        self.secret(redirect)
        self.provider = OAuthClientProvider(
            server_url=options.url,
            client_metadata=OAuthClientMetadata(
                client_name=name,
                redirect_uris=[redirect],
                grant_types=["authorization_code", "refresh_token"],
                response_types=["code"],
                token_endpoint_auth_method=options.auth_method,
            ),
            storage=self.storage,
            redirect_handler=self.redirect,
            callback_handler=self.callback,
        )
        self.notifications = asyncio.Queue()

    def secret(self, value):
        if self.options.secrets and value and len(value) >= 8:
            with open(self.options.secrets, "a") as out:
                out.write(f"{value}\n")

    async def redirect(self, url):
        async with step("discover_and_register") as facts:
            check(self.storage.client, "no client was registered")
            facts["clientId"], facts["exchanges"] = self.storage.client.client_id, self.wire[:]
        self.authorization_url = url

    async def callback(self):
        command = ["node", str(BROWSER), "--url", self.authorization_url, "--jar", str(self.jar)]
        command += ["--user", self.options.user, "--password", self.options.password]
        if self.options.secrets:
            command += ["--secrets", self.options.secrets]
        async with step("authorize") as facts:
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            output, _ = await process.communicate()
            result = json.loads(output)
            check("redirect" in result, f"{result.get('error')}, visited {result.get('visited')}")
            facts["visited"] = self.visited = result["visited"]
            answer = {name: values[0] for name, values in parse_qs(urlsplit(result["redirect"]).query).items()}
            check("error" not in answer, f"{answer.get('error')}: {answer.get('error_description')}")
            check("iss" in answer, "no iss in the authorization response")
        if Client is None:
            return answer["code"], answer.get("state")
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer["iss"])

    async def seen(self, response):
        kind = response.headers.get("content-type", "").split(";")[0]
        self.wire.append([response.request.method, response.request.url.path, response.status_code, kind])

    async def noted(self, message):
        await self.notifications.put(message)

    @contextlib.asynccontextmanager
    async def connect(self, asked=None):
        """A connection; `asked` answers when the person's input is wanted."""
        timeout = httpx.Timeout(30, read=300)
        async with httpx.AsyncClient(
            auth=self.provider, timeout=timeout, event_hooks={"response": [self.seen]}
        ) as http:
            transport = streamable_http_client(self.options.url, http_client=http)
            if Client is not None:
                async with Client(transport, mode=self.options.era, message_handler=self.noted, elicitation_callback=asked) as client:
                    yield client
            else:
                async with transport as (read, write, _), ClientSession(read, write, message_handler=self.noted, elicitation_callback=asked) as client:
                    await client.initialize()
                    yield client


async def echo(client, argument):
    message = f"hello {random.random()}"
    result = await client.call_tool("echo", {argument: message})
    check(message in result.content[0].text, f"echo said {result.content[0].text}")


async def progress(client, tools, facts):
    """Progress must arrive while the call runs, not together with its result."""
    times = []

    async def on_progress(*_):
        times.append(time.monotonic())

    name, arguments = "slow_progress", {"steps": 4, "pauseMs": 200}
    if "trigger-long-running-operation" in tools:
        name, arguments = "trigger-long-running-operation", {"duration": 0.8, "steps": 4}
    await client.call_tool(name, arguments, progress_callback=on_progress)
    check(len(times) >= 3, f"{len(times)} progress notifications")
    lead = round((time.monotonic() - times[0]) * 1000)
    check(lead > 200, f"the first progress came only {lead} ms before the result")
    facts.update(notifications=len(times), leadMs=lead)


async def get_stream(app, client, tools, facts):
    """A notification outside of any call arrives on the stream that the client opened with GET."""
    path = urlsplit(app.options.url).path
    async with asyncio.timeout(8):
        while not any(seen[:3] == ["GET", path, 200] for seen in app.wire):
            await asyncio.sleep(0.02)
        while not app.notifications.empty():
            app.notifications.get_nowait()
        await client.call_tool("announce" if "announce" in tools else "toggle-simulated-logging", {})
        notification = await app.notifications.get()
    notification = getattr(notification, "root", notification)
    check(hasattr(notification, "method"), f"not a notification: {notification!r}")
    facts["method"] = notification.method


async def listen(client, facts):
    async with asyncio.timeout(8), client.listen(tools_list_changed=True) as subscription:
        await client.call_tool("announce", {})
        facts["event"] = type(await anext(aiter(subscription))).__name__


async def post(options, token=None):
    headers = {"Accept": "application/json, text/event-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient() as http:
        return await http.post(options.url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers)


async def revoke(app):
    metadata, client = app.provider.context.oauth_metadata, app.storage.client
    form = {"token": app.storage.tokens.refresh_token, "token_type_hint": "refresh_token"}
    auth = None
    if app.options.auth_method == "client_secret_basic":
        auth = (client.client_id, client.client_secret)
    else:
        form["client_id"] = client.client_id
        if app.options.auth_method == "client_secret_post":
            form["client_secret"] = client.client_secret
    async with httpx.AsyncClient() as http:
        response = await http.post(str(metadata.revocation_endpoint), data=form, auth=auth)
    check(response.status_code == 200 and response.content == b"", f"revocation answered {response.status_code}")


async def main(options, jar):
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(options.url))
    app, second = Application("py one", options, jar), Application("py two", options, jar)

    async with step("challenge") as facts:
        response = await post(options)
        facts["header"] = header = response.headers.get("www-authenticate", "")
        check(response.status_code == 401, f"without a token the route answered {response.status_code}")
        check("resource_metadata=" in header and 'scope="mcp:tools"' in header, f"challenge: {header}")

    async with contextlib.AsyncExitStack() as stack:
        async with step("initialize") as facts:
            client = await stack.enter_async_context(app.connect())
            pages = [entry.get("page") for entry in app.visited]
            check("consent" in pages, "no consent page was shown")
            check(options.idp == "dev" or "login" in pages, "no sign-in form was shown")
            tokens = app.storage.tokens
            check({"mcp:tools"} <= set(tokens.scope.split()) <= {"mcp:tools", "offline_access"}, f"scope {tokens.scope}")
            check(tokens.refresh_token, "no refresh token")
            facts["expiresIn"] = tokens.expires_in
        async with step("list_tools") as facts:
            listed = (await client.list_tools()).tools
            tools = [tool.name for tool in listed]
            check("echo" in tools, f"no echo among {tools}")
            schema = listed[tools.index("echo")]
            schema = schema.input_schema if Client is not None else schema.inputSchema
            argument = next(iter(schema["properties"]))
            facts["tools"] = len(tools)
        async with step("call_echo"):
            await echo(client, argument)
        if options.server != "sample":
            async with step("progress") as facts:
                await progress(client, tools, facts)
        if options.server == "stateful":
            async with step("get_stream") as facts:
                await get_stream(app, client, tools, facts)
        if options.server == "modern":
            async with step("listen") as facts:
                await listen(client, facts)
        async with step("refresh"):
            before = app.storage.tokens
            app.provider.context.token_expiry_time = 1
            await echo(client, argument)
            after = app.storage.tokens
            check(after.access_token != before.access_token, "the access token is the same")
            check(after.refresh_token != before.refresh_token, "the refresh token did not rotate")
        async with step("use_again"):
            await echo(client, argument)
        async with step("second_client") as facts:
            async with second.connect() as other:
                await echo(other, argument)
            pages = [entry.get("page") for entry in second.visited]
            check("login" not in pages and "dev-login" not in pages, "the browser session did not save a sign-in")
            check("consent" in pages, "the second client was let in without consent")
            outside = [e["url"] for e in second.visited if e.get("page") != "client" and not e["url"].startswith(origin)]
            check(not outside, f"the identity provider was visited again: {outside}")
        async with step("revoke"):
            await revoke(second)
            response = await post(options, second.storage.tokens.access_token)
            check(response.status_code == 401, f"a revoked token got {response.status_code}")
            check('error="invalid_token"' in response.headers["www-authenticate"], "no invalid_token in the challenge")
            await echo(client, argument)
    if options.server == "stateful":
        async with step("terminate"):
            ends = [seen[2] for seen in app.wire if seen[0] == "DELETE"]
            check(ends and ends[-1] in (200, 204), f"DELETE answered {ends}")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", default="ada")
    parser.add_argument("--password", default="ada")
    parser.add_argument("--idp", default="form", choices=["form", "dev"])
    parser.add_argument("--server", default="stateful", choices=["stateful", "stateless", "modern", "sample"])
    parser.add_argument("--era", default="legacy", choices=["legacy", "auto"])
    parser.add_argument("--auth-method", default="none")
    parser.add_argument("--secrets")
    return parser


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main(arguments().parse_args(), Path(scratch) / "jar.json"))
    sys.exit(0)
