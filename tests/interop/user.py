"""The person at the browser: browser/person.mjs, in the background, as authgrant_authorize wants it."""

import json
import pathlib
import subprocess

USER_SCRIPT = pathlib.Path(__file__).parent / "browser" / "person.mjs"


class BrowserUser:
    """`with Person(...) as person`: `person.is_shown` is what shows the URL, `person.saw()` the pages that followed."""

    def __init__(self, shot, redirect, first=None):
        self.order = {"shot": shot, "redirect": redirect, "first": first}
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
        # The URL holds the state, so it goes by the standard input, where nobody else sees it.
        self.process.stdin.write(json.dumps({**self.order, "url": url}))
        self.process.stdin.close()
        self.process.stdin = None

    def visited_pages(self):
        said, complaint = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, complaint
        return json.loads(said)
