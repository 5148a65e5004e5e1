"""A real OAuth 2.0 issuer for the system tests: Flask and Authlib, on loopback alone.

    server.py PUBLIC_KEY.pem

Prints its port as its first line and ends when its standard input does. One client, `robot`, may use the
client credentials grant (RFC 6749 section 4.4), by form or by header, and the assertion grant (RFC 7523),
where Authlib itself checks signature, expiry and audience. Another, `desktop`, acts for a person, who consents by
a button: see desktop.py. The query of a token request says what the tests vary:

    POST /token?lifetime=36000&delay=2     expires_in of the answer; seconds before the request is looked at

What its access tokens are for is a report: see report.py. What tests ask beside OAuth is in controls.py.
"""

import logging
import os
import sys
import threading
import time

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7523 import JWTBearerGrant
from authlib.common.security import generate_token
from flask import Flask, render_template_string, request
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

from controls import Controls
from desktop import CREDENTIALS, LOCK, PERSON, AuthorizationCode, Desktop, RefreshToken, RequiredS256, save_token
from report import ISSUED, report

CLIENT_ID = "robot"
CLIENT_SECRET = "a secret with spaces, + and %41 & ä"
SUBJECT = "robot@example.test"
SCOPES = {"read", "write"}
DELAY_MAX_S = 5


class Robot(ClientMixin):
    """The one client that is known here."""

    def get_client_id(self):
        return CLIENT_ID

    def get_allowed_scope(self, scope):
        return " ".join(word for word in (scope or "").split() if word in SCOPES)

    def check_client_secret(self, client_secret):
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_basic", "client_secret_post")

    def check_grant_type(self, grant_type):
        return grant_type in ("client_credentials", JWTBearerGrant.GRANT_TYPE)


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class Assertion(JWTBearerGrant):
    LEEWAY = 0

    def resolve_issuer_client(self, issuer):
        return Robot() if issuer == CLIENT_ID else None

    def resolve_client_public_key(self, client):
        return PUBLIC_KEY

    def get_audiences(self):
        return [f"http://127.0.0.1:{PORT}/token"]

    def authenticate_user(self, subject):
        return subject if subject == SUBJECT else None

    def has_granted_permission(self, client, user):
        return True


PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Consent</title>
<h1>{{ client }} asks for access</h1>
<p>{{ scope }}</p>
<form method="post"><button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form>
</html>
"""


def lifetime(client, grant_type):
    return int(request.args.get("lifetime", "3600" if isinstance(client, Desktop) else "86400"))


def save(token, request):
    save_token(token, request)
    ISSUED.add(token)


app = Flask(__name__)
clients = {client.get_client_id(): client for client in (Robot(), Desktop("desktop", CLIENT_SECRET))}
issuer = AuthorizationServer(app, query_client=clients.get, save_token=save)
issuer.register_token_generator(
    "default",
    BearerTokenGenerator(
        lambda **_: generate_token(48),
        refresh_token_generator=lambda **_: generate_token(48),
        expires_generator=lifetime,
    ),
)
issuer.register_grant(ClientCredentials)
issuer.register_grant(Assertion)
issuer.register_grant(AuthorizationCode, [RequiredS256()])
issuer.register_grant(RefreshToken)
controls = Controls(app, CREDENTIALS.revoke)
RefreshToken.rotates = staticmethod(lambda: controls.settings["rotate"] == "yes")


@app.route("/auth", methods=["GET", "POST"])
def authorize():
    """The page on which a person consents, and what comes of its buttons. Who looks at it is logged in."""
    try:
        grant = issuer.get_consent_grant(end_user=PERSON)
    except OAuth2Error as error:
        return issuer.handle_error_response(None, error)
    if request.method == "GET":
        return render_template_string(PAGE, client=grant.client.get_client_id(), scope=grant.request.scope)
    user = PERSON if request.form.get("decision") == "allow" else None
    return issuer.create_authorization_response(grant_user=user, grant=grant)


def take():
    with LOCK:
        return issuer.create_token_response()


@app.post("/token")
def token():
    time.sleep(min(float(request.args.get("delay", "0")), DELAY_MAX_S))
    return controls.token(take)


app.get("/report")(report)
logging.getLogger("werkzeug").setLevel(logging.ERROR)
with open(sys.argv[1], encoding="ascii") as key:
    PUBLIC_KEY = RSAKey.import_key(key.read())
server = make_server("127.0.0.1", 0, app, threaded=True)
PORT = server.server_port
threading.Thread(target=server.serve_forever, daemon=True).start()
print(PORT, flush=True)
sys.stdin.read()
