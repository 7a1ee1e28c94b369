"""Django OAuth Toolkit, a third OpenID Connect implementation, with the users ada and bob; the password is the name.

Its issuer has a path, it asks for consent each time, and its ID tokens say roles and groups.

  GET <issuer>/test/rotate    makes a new signing key and forgets the old one
"""

import argparse
import json
import secrets
import signal
import sys
import tempfile
from pathlib import Path

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from werkzeug.serving import make_server

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, default=0)
options.add_argument("--redirect-uri", required=True)
options.add_argument("--post-logout-uri", default="")
options.add_argument("--client-id", default="gateway")
options.add_argument("--client-secret", default="gateway-secret")
options.add_argument("--alg", default="RS256", choices=["RS256"])
options = options.parse_args()

PEOPLE = {
    "ada": {"name": "Ada Lovelace", "groups": ["engineering", "admins"], "realm_access": {"roles": ["editor"]}},
    "bob": {"name": "Bob Noyce", "groups": ["engineering"], "realm_access": {"roles": ["reader"]}},
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign-in service</title></head>
<body>{% block content %}{% endblock %}</body></html>"""
LOGIN = """{% extends "oauth2_provider/base.html" %}{% block content %}<form method="post">{% csrf_token %}{{ form }}
<button type="submit">Sign in</button></form>{% endblock %}"""


def signing_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


scratch = tempfile.TemporaryDirectory(prefix="oauth-toolkit-")
settings.configure(
    SECRET_KEY=secrets.token_hex(32),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGIN_URL="/login",
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    # Instead of a base page whose style sheet comes from the internet.
                    (
                        "django.template.loaders.locmem.Loader",
                        {"oauth2_provider/base.html": PAGE, "registration/login.html": LOGIN},
                    ),
                    "django.template.loaders.app_directories.Loader",
                ],
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(scratch.name) / "db"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    # Fast; the passwords are no secret.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": signing_key(),
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Validator",
        "PKCE_REQUIRED": True,
        "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
        "SCOPES": {"openid": "Who you are", "profile": "Your name", "email": "Your e-mail address"},
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402
from oauth2_provider.settings import oauth2_settings  # noqa: E402


class Validator(OAuth2Validator):
    """What the ID token and the UserInfo endpoint say about a person."""

    oidc_claim_scope = OAuth2Validator.oidc_claim_scope | {"groups": "profile", "realm_access": "profile"}

    def get_additional_claims(self, request):
        user = request.user
        return {"email": user.email, "email_verified": True, **PEOPLE[user.username]}


def rotate(_request):
    oauth2_settings.OIDC_RSA_PRIVATE_KEY = signing_key()
    return JsonResponse({"rotated": True})


urlpatterns = [
    path("login", LoginView.as_view()),
    path("o/test/rotate", rotate),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

call_command("migrate", verbosity=0)
for name in PEOPLE:
    User.objects.create_user(name, email=f"{name}@example.com", password=name)
Application.objects.create(
    client_id=options.client_id,
    client_secret=options.client_secret,
    name="Sallyport",
    client_type=Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    redirect_uris=options.redirect_uri,
    post_logout_redirect_uris=options.post_logout_uri,
    algorithm=Application.RS256_ALGORITHM,
)

server = make_server("127.0.0.1", options.port, app=get_wsgi_application(), threaded=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
issuer = f"http://127.0.0.1:{server.server_port}/o"
ready = {"ready": True, "issuer": issuer, "clientId": options.client_id, "clientSecret": options.client_secret}
print(json.dumps(ready), flush=True)
server.serve_forever()
