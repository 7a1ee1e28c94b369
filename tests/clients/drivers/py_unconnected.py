"""A client that begins while its person is not connected to the MCP server (Python SDK, 2.x and 1.x).

`--era legacy` sees one tool that gives the link, and begins anew once the person has connected. `--era modern` (2.x) is
asked for the person's input, opens the link, and its call goes on.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import ElicitResult
from py_mcp import BROWSER, Application, arguments, check, echo, step


async def browse(options, jar, *what):
    """The person's browser, which keeps its cookies in `jar`."""
    command = ["node", str(BROWSER), "--jar", str(jar), "--user", options.user, "--password", options.password, *what]
    if options.secrets:
        command += ["--secrets", options.secrets]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    result = json.loads(output)
    check(result.get("status") == 200, f"the browser ended with {result}")
    return [entry.get("page") for entry in result.get("visited", [])]


async def tools_of(client):
    return [tool.name for tool in (await client.list_tools()).tools]


async def refusal(call):
    """The error that a call ends with."""
    try:
        result = await call
    except Exception as error:
        return error
    raise AssertionError(f"answered: {result}")


async def is_herself(client, options):
    result = await client.call_tool("whoami", {})
    check(not result.isError if hasattr(result, "isError") else not result.is_error, "whoami failed")
    subject = json.loads(result.content[0].text)["subject"]
    check(subject == options.user, f"{options.user} is taken for {subject}")


async def main(options, jar):
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(options.url))
    path = urlsplit(options.url).path
    app = Application("py unconnected", options, jar)
    links = []

    def link_of(url):
        app.secret(parse_qs(urlsplit(url).query)["browserTicket"][0])
        check(url.startswith(f"{origin}/auth/connections/{options.upstream}/connect?"), f"the link is {url}")
        links.append(url)
        return url

    async def asked(_, params):
        check(params.mode == "url", f"asked for {params.mode}")
        await browse(options, jar, "--visit", "--url", link_of(params.url))
        return ElicitResult(action="accept")

    modern = options.era != "legacy"

    def connect():
        return app.connect(asked if modern else None)

    async with step("sign_in"):
        async with connect() as client:
            await is_herself(client, options)
    async with step("disconnect"):
        await browse(options, jar, "--url", f"{origin}/account", "--press", f"disconnect={options.upstream}")

    if modern:
        async with step("began_without") as facts:
            async with connect() as client:
                facts["tools"] = await tools_of(client)
                check(facts["tools"] == ["connect"], f"without a connection there are the tools {facts['tools']}")
                await echo(client, "message")
                check(len(links) == 1, f"{len(links)} links were followed")
                check("whoami" in await tools_of(client), "connected, it still sees no tools")
                await is_herself(client, options)
                check(len(links) == 1, "it was asked again")
        return

    async with step("began_without"):
        async with connect() as client:
            tools = await tools_of(client)
            check(tools == ["connect"], f"without a connection there are the tools {tools}")
            for name in ("connect", "echo"):
                error = await refusal(client.call_tool(name, {"message": "hello"} if name == "echo" else {}))
                check(getattr(error, "error", None) and error.error.code == -32042, f"{name} ended with {error!r}")
                [asks] = UrlElicitationRequiredError.from_error(error.error).elicitations
                check(asks.mode == "url", f"asked for {asks.mode}")
                link = link_of(asks.url)
            pages = await browse(options, jar, "--visit", "--url", link)
            check("connect" in pages, f"nobody was asked to connect: {pages}")
            # The session of a client without its server is over; the SDK says so, and the application begins anew.
            app.wire.clear()
            error = await refusal(echo(client, "message"))
            check(["POST", path, 404] in [seen[:3] for seen in app.wire], f"the old session: {error!r} {app.wire}")
    async with step("begins_again"):
        async with connect() as client:
            tools = await tools_of(client)
            check("whoami" in tools and "connect" not in tools, f"afterwards there are the tools {tools}")
            await echo(client, "message")
            await is_herself(client, options)


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--upstream", required=True)
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main(parser.parse_args(), Path(scratch) / "jar.json"))
    sys.exit(0)
