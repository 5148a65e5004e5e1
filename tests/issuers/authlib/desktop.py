"""The client that acts for a person: authorization code, PKCE, refresh tokens that rotate.

A code or a refresh token that comes a second time voids its grant, and so whatever came of it (RFC 9700,
sections 2.1.1 and 4.14.2).
"""

import threading
from urllib.parse import urlsplit

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, InvalidRequestError, TokenMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge

SCOPES = {f"https://www.googleapis.com/auth/{name}" for name in ("adwords", "pubsub")}
PERSON = "a person"
# one request after another: a credential is found unused and then used as one step
LOCK = threading.RLock()


class Desktop(ClientMixin):
    def __init__(self, client_id, client_secret):
        self.client_id = client_id
        self.client_secret = client_secret

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope if scope and SCOPES.issuperset(scope.split()) else None

    def check_client_secret(self, client_secret):
        return client_secret == self.client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_post"

    def check_grant_type(self, grant_type):
        return grant_type in ("authorization_code", "refresh_token")

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_redirect_uri(self, redirect_uri):
        """Any port of a loopback redirect (RFC 8252, section 7.3)."""
        parts = urlsplit(redirect_uri)
        return (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "/oauth2/callback")


class Grant:
    """What a person gave once."""

    def __init__(self):
        self.void = False


class Credential(AuthorizationCodeMixin, TokenMixin):
    """A code or a refresh token."""

    def __init__(self, grant, scope, redirect_uri=None, code_challenge=None):
        self.grant = grant
        self.scope = scope
        self.redirect_uri = redirect_uri
        self.code_challenge = code_challenge
        self.code_challenge_method = "S256"
        self.used = False

    def get_scope(self):
        return self.scope

    def get_redirect_uri(self):
        return self.redirect_uri

    def check_client(self, client):
        return isinstance(client, Desktop)


class Credentials:
    """Every code and refresh token that was issued."""

    def __init__(self):
        self.issued = {}

    def find(self, text):
        credential = self.issued.get(text)
        if credential is None or credential.grant.void:
            return None
        if credential.used:
            credential.grant.void = True
            return None
        return credential

    def revoke(self):
        with LOCK:
            for credential in self.issued.values():
                credential.grant.void = True


CREDENTIALS = Credentials()


class AuthorizationCode(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]

    def create_authorization_response(self, redirect_uri, grant_user):
        status, body, headers = super().create_authorization_response(redirect_uri, grant_user)
        # as Google does: more in the redirect than the standard says
        more = [("scope", self.request.scope), ("authuser", "0"), ("prompt", "consent")]
        return status, body, [(name, add_params_to_uri(value, more)) for name, value in headers]

    def save_authorization_code(self, code, request):
        challenge = request.payload.data["code_challenge"]
        CREDENTIALS.issued[code] = Credential(Grant(), request.scope, request.payload.redirect_uri, challenge)

    def query_authorization_code(self, code, client):
        return CREDENTIALS.find(code)

    def delete_authorization_code(self, authorization_code):
        authorization_code.used = True

    def authenticate_user(self, authorization_code):
        return PERSON


class RequiredS256(CodeChallenge):
    """PKCE for a client with a secret too, and no method but S256."""

    def validate_code_challenge(self, grant, redirect_uri):
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE by S256 is required")
        super().validate_code_challenge(grant, redirect_uri)


class RefreshToken(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]
    rotates = staticmethod(lambda: True)

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self):
        return self.rotates()

    def authenticate_refresh_token(self, refresh_token):
        return CREDENTIALS.find(refresh_token)

    def authenticate_user(self, refresh_token):
        return PERSON

    def revoke_old_credential(self, refresh_token):
        refresh_token.used = self.rotates()


def save_token(token, request):
    if "refresh_token" in token:
        source = request.authorization_code or request.refresh_token
        CREDENTIALS.issued[token["refresh_token"]] = Credential(source.grant, source.scope)
