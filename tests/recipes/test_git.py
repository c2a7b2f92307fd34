"""The credential helper with git and an HTTP server that demands the token as password."""

import base64
import http.server
import subprocess
import threading

import pytest


class Repository(http.server.SimpleHTTPRequestHandler):
    """Serves a bare repository to users whose password is a valid token."""

    def do_GET(self):
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        user, _, token = base64.b64decode(credentials).decode().partition(":")
        subject = self.server.subject_of(token) if scheme == "Basic" else None
        self.server.users.append((user, subject))
        if subject:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def log_message(self, *_):
        pass


def git(directory, *arguments):
    subprocess.run(["git", "-C", str(directory), "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        check=True, capture_output=True, timeout=60)


@pytest.fixture
def repository(tmp_path, mock):
    """An HTTP server with a repository of one commit."""
    work, bare = tmp_path / "work", tmp_path / "served" / "project.git"
    work.mkdir()
    git(work, "init", "-q")
    (work / "README").write_text("content\n")
    git(work, "add", "README")
    git(work, "commit", "-q", "-m", "add README")
    git(work, "clone", "-q", "--bare", ".", str(bare))
    git(bare, "update-server-info")

    def handle(*arguments):
        return Repository(*arguments, directory=str(bare.parent))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handle)
    server.subject_of, server.users = mock.subject_of, []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_git_clones_with_token_as_password(programs, mock, repository, tmp_path):
    url = f"http://127.0.0.1:{repository.server_port}"
    cloned = mock.run("git", "-c", "credential.helper=", "-c", f"credential.{url}.helper={programs / 'git_credential'}",
        "clone", "-q", f"{url}/project.git", tmp_path / "cloned")
    assert cloned.returncode == 0, cloned.stderr
    assert (tmp_path / "cloned" / "README").read_text() == "content\n"
    assert ("oauth2", "jsmith@example.com") in repository.users


def test_git_credential_has_expiry_and_requested_user(programs, mock):
    request = "protocol=https\nhost=git.example.com\nusername=jsmith\n\n"
    answer = mock.run(programs / "git_credential", "get", input=request)
    values = dict(line.split("=", 1) for line in answer.stdout.splitlines())
    assert set(values) == {"username", "password", "password_expiry_utc"}
    assert values["username"] == "jsmith"
    assert mock.subject_of(values["password"]) == "jsmith@example.com"


def test_git_credential_refuses_plain_http(programs, mock):
    answer = mock.run(programs / "git_credential", "get", input="protocol=http\nhost=git.example.com\n\n")
    assert (answer.returncode, answer.stdout) == (0, "")


@pytest.mark.parametrize("action", ["store", "erase"])
def test_git_credential_ignores_other_actions(programs, mock, action):
    answer = mock.run(programs / "git_credential", action, input="protocol=https\nhost=git.example.com\n\n")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
