"""What access tokens are for: a report, for whoever has one that was issued, has the scope and has not ended."""

import time

from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc6749 import TokenMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator


class AccessToken(TokenMixin):
    """An access token that was issued; the first one has the number 1."""

    def __init__(self, number, token):
        self.number = number
        self.scope = token.get("scope", "")
        self.ends = time.time() + token["expires_in"]

    def get_scope(self):
        return self.scope

    def is_expired(self):
        return self.ends <= time.time()

    def is_revoked(self):
        return False


class Issued(BearerTokenValidator):
    """Every access token that was issued."""

    def __init__(self):
        super().__init__()
        self.tokens = {}

    def add(self, token):
        self.tokens[token["access_token"]] = AccessToken(len(self.tokens) + 1, token)

    def authenticate_token(self, token_string):
        return self.tokens.get(token_string)


ISSUED = Issued()
protected = ResourceProtector()
protected.register_token_validator(ISSUED)


@protected("read")
def report():
    return f"the report, by token {current_token.number}\n"
