"""Tells schemathesis how to sign in, and which rules of the API its OpenAPI document cannot express."""

import itertools
import json
import os
import urllib.request

import schemathesis

NUMBERS = itertools.count(1)
SHARED = {}

# The operations that end all tokens of the caller's account.
TOKEN_ENDING = {("DELETE", "/api/users/me/"), ("POST", "/api/auth/logout/")}

# The messages of rules that OpenAPI cannot express: rules across fields or requests, or about undeclared input. The
# API's own tests cover each rule.
INEXPRESSIBLE = {
    "must be given together with lat",
    "must be given together with lng",
    "must be given together with lat and lng",
    "must not be given together with page",
    "does not belong to this list: take it from a `next` or `previous` link of the same list",
    "is found among the first 10000 rows, or right after the page before it; follow `next`, which has no limit",
    "must be newest",
    "must lie after valid_from",
    "must lie before valid_until",
    "must lie at most a year ahead",
    "must be given together with password",
    "is not the password of this account",
    "must not be a common password",
    "must not be the e-mail or the name of the account",
    "Cannot follow yourself",
    "must not contain the character U+0000",
    "the body must not contain the character U+0000",
}


def register(base):
    """Registers a new account and returns its token."""
    body = {"email": f"run-{os.getpid()}-{next(NUMBERS)}@example.org", "password": "correct horse"}
    request = urllib.request.Request(
        f"{base}/api/auth/register/", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["token"]


@schemathesis.auth(refresh_interval=None)
class Accounts:
    """Signs in with one account for all requests, except that a request that ends its tokens gets a new account."""

    def get(self, case, context):
        base = os.environ["FEED_CONTRACT_URL"]
        if (case.method, case.path) in TOKEN_ENDING:
            return register(base)
        if base not in SHARED:
            SHARED[base] = register(base)
        return SHARED[base]

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.check
def valid_input_is_refused_only_by_inexpressible_rules(ctx, response, case):
    """If input that is valid by the document gets a 400, then because of a rule of the list above."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    problem = response.json()
    broken = [error["message"] for error in problem.get("errors", [])] or [problem["detail"]]
    assert any(message in INEXPRESSIBLE for message in broken), f"the document lacks this rule: {broken}"
