"""A small server that speaks the part of the Hub's API its real client needs, and fails on request.

>>> with HubServer() as hub:
...     hub.add("org/model", {"config.json": b"{}"})
...     # HF_ENDPOINT=hub.url
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import pytest


@dataclass
class Repo:
    """One repository: its commits (file name to content), and what points to them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    gated: bool = False
    token: str | None = None
    pipeline_tag: str | None = None

    def commit(self, files: dict[str, bytes], branch: str = "main", message: str = "") -> str:
        """Make `files` the new state of a branch; the result is the commit's hash."""
        state = json.dumps([len(self.commits), sorted(files)]).encode() + b"".join(files.values())
        name = hashlib.sha1(state).hexdigest()
        self.commits[name] = dict(files)
        self.refs[branch] = name
        self.messages.append(message)
        return name

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, tag or commit hash names."""
        name = self.refs.get(revision, revision)
        return name if name in self.commits else None


class HubServer:
    """The server; its attributes are the faults it shows.

    `delay` seconds pass before each answer; `status` is given instead of any answer; `garbage` are
    bytes sent instead of HTTP, `drip` seconds apart; `cuts` downloads break off after `cut_at`
    bytes; files of more than `large` bytes are redirected, as the Hub does for those on its
    content network. `after` is called with method and path of each request once it is answered.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.ranges: list[str] = []
        self.delay = 0.0
        self.status: int | None = None
        self.garbage: bytes | None = None
        self.drip = 0.0
        self.cuts = 0
        self.cut_at = 1000
        self.large = 10_000
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.stop = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.content_url = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, name: str, files: dict[str, bytes], **settings: object) -> str:
        """Create or extend a repository by one commit on main, whose hash is returned."""
        repo = self.repos.setdefault(name, Repo())
        for key, value in settings.items():
            setattr(repo, key, value)
        return repo.commit(files)

    def asked_for(self, filename: str) -> list[str]:
        """The methods of all requests for a file."""
        return [method for method, path in self.requests if path.endswith("/" + filename)]


class _Error(Exception):
    def __init__(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.headers = status, {"X-Error-Code": code, **(headers or {})}


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def handle_any(self) -> None:
            path = unquote(urlsplit(self.path).path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.requests.append((self.command, path))
            hub.stop.wait(hub.delay)
            if hub.garbage is not None:
                self.send_garbage(hub.garbage)
            elif hub.status is not None:
                self.reply(hub.status, b"fault")
            else:
                try:
                    self.route(path, body)
                    hub.after(self.command, path)
                except _Error as error:
                    self.reply(error.status, b'{"error": "no"}', error.headers)

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

        def send_garbage(self, data: bytes) -> None:
            self.close_connection = True
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if not hub.drip:
                    self.wfile.write(data)
                    return
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    if hub.stop.wait(hub.drip):
                        return

        def route(self, path: str, body: bytes) -> None:
            for method, pattern, action in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method.split():
                    getattr(self, action)(body, *found.groups())
                    return
            raise _Error(404, "RouteNotFound")

        # --- reading ---

        def repo(self, name: str) -> Repo:
            repo = hub.repos.get(name)
            sent = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if repo is None:
                raise _Error(404 if sent else 401, "RepoNotFound")
            if repo.token is not None and sent != repo.token:
                if repo.gated:
                    raise _Error(403 if sent else 401, "GatedRepo")
                raise _Error(404 if sent else 401, "RepoNotFound")
            return repo

        def resolve(self, body: bytes, name: str, revision: str, filename: str) -> None:
            repo = self.repo(name)
            commit = repo.resolve(revision)
            if commit is None:
                raise _Error(404, "RevisionNotFound")
            found = {"X-Repo-Commit": commit}
            if filename not in repo.commits[commit]:
                raise _Error(404, "EntryNotFound", found)
            content = repo.commits[commit][filename]
            etag = hashlib.sha256(content).hexdigest()
            hub.blobs[etag] = content
            if len(content) <= hub.large:
                self.send_file(content, {**found, "ETag": f'"{etag}"'})
                return
            linked = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{etag}"'}
            self.reply(302, b"", {**found, **linked, "Location": f"{hub.content_url}/cdn/{etag}"})

        def cdn(self, body: bytes, etag: str) -> None:
            self.send_file(hub.blobs[etag], {"ETag": f'"{etag}"'})

        def send_file(self, content: bytes, headers: dict[str, str]) -> None:
            wanted = self.headers.get("Range")
            status, part = 200, content
            if wanted and self.command == "GET":
                hub.ranges.append(wanted)
                start = int(wanted.removeprefix("bytes=").split("-")[0])
                status, part = 206, content[start:]
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if self.command == "GET" and hub.cuts > 0 and len(part) > hub.cut_at:
                hub.cuts -= 1
                self.reply(status, part[: hub.cut_at], headers, length=len(part))
                self.wfile.flush()
                self.close_connection = True
                return
            self.reply(status, part, headers)

        def info(self, body: bytes, name: str, revision: str | None = None) -> None:
            repo = self.repo(name)
            commit = repo.resolve(revision or "main")
            if commit is None:
                raise _Error(404, "RevisionNotFound")
            files = [{"rfilename": filename} for filename in repo.commits[commit]]
            about = {"_id": "1", "id": name, "modelId": name, "sha": commit, "siblings": files}
            self.json({**about, "pipeline_tag": repo.pipeline_tag})

        # --- writing ---

        def create(self, body: bytes) -> None:
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            fresh = name not in hub.repos
            hub.repos.setdefault(name, Repo()).refs.setdefault("main", "")
            if fresh:
                hub.repos[name].commit({})
            self.json({"url": f"{hub.url}/{name}", "name": name}, 200 if fresh else 409)

        def branch(self, body: bytes, name: str, branch: str) -> None:
            repo = self.repo(name)
            fresh = branch not in repo.refs
            repo.refs.setdefault(branch, repo.refs["main"])
            self.json({}, 200 if fresh else 409)

        def preupload(self, body: bytes, name: str, revision: str) -> None:
            self.repo(name)
            files = json.loads(body)["files"]
            self.json(
                {
                    "files": [
                        {
                            "path": file["path"],
                            "uploadMode": "regular",
                            "shouldIgnore": False,
                            "oid": None,
                        }
                        for file in files
                    ]
                }
            )

        def commit(self, body: bytes, name: str, revision: str) -> None:
            repo = self.repo(name)
            base = repo.resolve(revision)
            files = dict(repo.commits[base]) if base else {}
            message = ""
            for line in body.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "header":
                    message = value["summary"]
                elif entry["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
            oid = repo.commit(files, revision, message)
            url = f"{hub.url}/{name}/commit/{oid}"
            self.json({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

        def accept(self, body: bytes) -> None:
            self.json({"errors": [], "warnings": []})

        # --- answers ---

        def json(self, value: object, status: int = 200) -> None:
            self.reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def reply(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str] | None = None,
            length: int | None = None,
        ) -> None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

    return Handler


NAME = r"([\w.-]+(?:/[\w.-]+)?)"
ROUTES = (
    ("GET HEAD", r"/cdn/(\w+)", "cdn"),
    ("GET HEAD", rf"/{NAME}/resolve/([^/]+)/(.+)", "resolve"),
    ("GET", rf"/api/models/{NAME}/revision/(.+)", "info"),
    ("GET", rf"/api/models/{NAME}", "info"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", rf"/api/models/{NAME}/branch/(.+)", "branch"),
    ("POST", rf"/api/models/{NAME}/preupload/(.+)", "preupload"),
    ("POST", rf"/api/models/{NAME}/commit/(.+)", "commit"),
    ("POST", r"/api/validate-yaml", "accept"),
)


@contextlib.contextmanager
def connected(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[HubServer]:
    """A server which the client in this process is pointed at, with `cache` as its cache."""
    import huggingface_hub
    from huggingface_hub import constants

    from dovetail import hub

    with HubServer() as server:
        settings = {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_ETAG_TIMEOUT": 1,
            "HF_HUB_DOWNLOAD_TIMEOUT": 1,
            "HF_TOKEN_PATH": str(cache / "token"),
        }
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        for name in ("_unreachable", "_slow", "_reached", "_warned"):
            monkeypatch.setattr(hub, name, type(getattr(hub, name))())
        yield server
        huggingface_hub.close_session()
