"""Canaille, a second OpenID Connect implementation, with the users ada and bob; the password is the name.

It asks for the user name and the password on two pages and for consent on a third.
"""

import argparse
import json
import secrets
import signal
import sys

import canaille
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, default=0)
options.add_argument("--redirect-uri", required=True)
options.add_argument("--post-logout-uri")
options.add_argument("--client-id", default="gateway")
options.add_argument("--client-secret", default="gateway-secret")
options.add_argument("--alg", default="RS256")
options = options.parse_args()

server = make_server("127.0.0.1", options.port, app=None, threaded=True)
authority = f"127.0.0.1:{server.server_port}"

app = canaille.create_app(
    {
        "SECRET_KEY": secrets.token_hex(32),
        "SERVER_NAME": authority,
        "PREFERRED_URL_SCHEME": "http",
        "WTF_CSRF_SSL_STRICT": False,
        "SESSION_COOKIE_SECURE": False,
        "CANAILLE": {
            "DATABASE": "memory",
            "JAVASCRIPT": False,
            "HTMX": False,
            "ENABLE_PASSWORD_COMPROMISSION_CHECK": False,
            "CAPTCHA_ENABLED": False,
            "SMTP": None,
        },
        "CANAILLE_OIDC": {
            "ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)],
            "TRUSTED_DOMAINS": [],
        },
    },
    init_backend=True,
)
server.app = app

with app.app_context():
    for name, given, family, groups in (
        ("ada", "Ada", "Lovelace", ("engineering", "admins")),
        ("bob", "Bob", "Noyce", ("engineering",)),
    ):
        user = models.User(
            user_name=name,
            given_name=given,
            family_name=family,
            formatted_name=f"{given} {family}",
            emails=[f"{name}@example.com"],
            password=name,
        )
        Backend.instance.save(user)
        for group in groups:
            found = Backend.instance.get(models.Group, display_name=group)
            if found:
                found.members = [*found.members, user]
            else:
                found = models.Group(display_name=group, members=[user])
            Backend.instance.save(found)
    client = models.Client(
        client_id=options.client_id,
        client_secret=options.client_secret,
        client_name="Sallyport",
        redirect_uris=[options.redirect_uri],
        post_logout_redirect_uris=[options.post_logout_uri] if options.post_logout_uri else [],
        token_endpoint_auth_method="client_secret_basic",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=["openid", "profile", "email", "groups"],
        id_token_signed_response_alg=options.alg,
    )
    Backend.instance.save(client)
    client.audience = [client]
    Backend.instance.save(client)

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
issuer = f"http://{authority}"
ready = {"ready": True, "issuer": issuer, "clientId": options.client_id, "clientSecret": options.client_secret}
print(json.dumps(ready), flush=True)
server.serve_forever()
