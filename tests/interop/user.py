"""Simulates the user with a browser: runs browser/user.mjs in the background, as authgrant_authorize requires."""

import json
import pathlib
import subprocess

USER_SCRIPT = pathlib.Path(__file__).parent / "browser" / "user.mjs"


class BrowserUser:
    """Context manager: `open_url` opens a URL in the browser, `visited_pages` waits and returns the visited pages."""

    def __init__(self, screenshot, redirect, first=None, user="jsmith@example.com", password="anything"):
        self.instructions = {
            "screenshot": screenshot, "redirect": redirect, "first": first, "user": user, "password": password,
        }
        self.process = None

    def __enter__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(["node", USER_SCRIPT], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate()

    def open_url(self, url):
        # The URL contains the state, so it is passed by standard input instead of visible arguments.
        self.process.stdin.write(json.dumps({**self.instructions, "url": url}))
        self.process.stdin.close()
        self.process.stdin = None

    def visited_pages(self):
        output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return json.loads(output)


def log_in_and_refresh(connection, screenshot, redirect, **credentials):
    """Logs in with the browser, and renews the token once, which rotates the refresh token. Returns the refresh tokens."""
    refresh_tokens = []
    connection.set_refresh_token_callback(refresh_tokens.append)
    with BrowserUser(screenshot, redirect, **credentials) as user:
        connection.authorize(user.open_url)
        *_, result = user.visited_pages()
    assert (result["url"], result["heading"]) == (redirect, "Logged in")
    first = connection.get_token()
    connection.reject_token()
    assert connection.get_token().value != first.value
    assert len(set(refresh_tokens)) == 2, "expected the initial and the rotated refresh token"
    return refresh_tokens
