"""What a test asks of an issuer beside OAuth, on a path of its own. `oidc/controls.mjs` says what there is."""

import hashlib
import json
import queue
import socket
import threading

from flask import Response, request

HOLD_MAX_S = 60  # so that a test that fails leaves nothing behind


class Controls:
    def __init__(self, app, revoke):
        self.settings = {"hold": "nothing", "rotate": "yes", "refresh_token": "yes"}
        self.seen = {
            "requests": {},
            "granted": {},
            "refresh_token_presented": None,
            "refresh_token_issued": None,
        }
        self.held = set()
        self.lock = threading.Lock()
        actions = {
            "set": lambda: self.settings.update(request.args),
            "release": lambda: self.end("release"),
            "drop": lambda: self.end("drop"),
            "revoke": revoke,
        }
        app.add_url_rule("/control", "control", self.report)
        for name, action in actions.items():
            app.add_url_rule(f"/control/{name}", name, self.after(action), methods=["POST"])

    def report(self):
        with self.lock:
            return {**self.seen, "held": len(self.held)}

    def after(self, action):
        def act():
            action()
            return self.report()

        return act

    def token(self, take):
        """Lets a token request through to `take`, as the settings say."""
        form = request.form
        with self.lock:
            count(self.seen["requests"], form.get("grant_type"))
            if "refresh_token" in form:
                self.seen["refresh_token_presented"] = sha256(form["refresh_token"])
        if self.hold("before"):
            return Response()
        answer = take()
        self.judge(answer)
        return Response() if self.hold("after") else answer

    def judge(self, answer):
        """Remembers what an answer says, and leaves the refresh token out where it should."""
        if answer.status_code != 200:
            return
        body = answer.get_json()
        with self.lock:
            count(self.seen["granted"], request.form["grant_type"])
            if "refresh_token" in body:
                self.seen["refresh_token_issued"] = sha256(body["refresh_token"])
        if self.settings["refresh_token"] != "yes":
            body.pop("refresh_token", None)
            answer.data = json.dumps(body)

    def hold(self, when):
        """Holds where the settings say so; whether the connection was dropped."""
        if self.settings["hold"] != when:
            return False
        waiter = queue.SimpleQueue()
        with self.lock:
            self.held.add(waiter)
        try:
            end = waiter.get(timeout=HOLD_MAX_S)
        except queue.Empty:
            end = "drop"
        with self.lock:
            self.held.discard(waiter)
        if end == "drop":
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return end == "drop"

    def end(self, how):
        with self.lock:
            self.settings["hold"] = "nothing"
            for waiter in self.held:
                waiter.put(how)


def count(counts, name):
    counts[name] = counts.get(name, 0) + 1


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()
