"""Write a comment of a pull request (GitHub) or merge request (GitLab), or update the one of an earlier run in place.

    python3 -I post_comment.py github|gitlab COMMENT.md

The first line of the comment is hidden and names it; a comment of the same author with the same first line is updated.
The script uses only Python's standard library and reads its settings from the environment, as the CI system gives them:

    GitHub  COMMENT_TOKEN, COMMENT_AUTHOR, GITHUB_API_URL, GITHUB_REPOSITORY, HEAD_OWNER, HEAD_BRANCH, HEAD_SHA
    GitLab  COMMENT_TOKEN, CI_API_V4_URL, CI_MERGE_REQUEST_PROJECT_ID, CI_MERGE_REQUEST_IID

On GitHub, the pull request is found by the branch and the commit of the event, which a fork cannot choose freely, and
not by anything in the artifact. Exit codes: 0 also if there is no such request any more, 1 if the server refuses.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from os import environ
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

MAX_COMMENT_CHARACTERS: Final = 65_000
PAGE: Final = 100
MAX_PAGES: Final = 50
TIMEOUT_SECONDS: Final = 30
MARKER: Final = re.compile(r"<!-- bitbudget: [A-Za-z0-9][A-Za-z0-9._-]{0,63} -->")


class PostError(Exception):
    """The comment could not be written."""


class Server:
    """JSON API of a server, with a token.

    Args:
        url: Address below which all paths are.
        headers: Headers of every request.
    """

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        if not url.startswith(("https://", "http://")):
            raise PostError(f"the address of the API is {url!r}; expected https://...")
        self._url = url.rstrip("/")
        self._headers = headers | {"Content-Type": "application/json", "User-Agent": "bitbudget"}

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request, and return the JSON of the answer."""
        content = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, content, self._headers, method=method)  # noqa: S310  # checked above
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # checked above
                return json.load(answer)
        except HTTPError as error:
            raise PostError(f"{method} {path}: {error.code} {error.reason}") from None
        except (URLError, OSError, ValueError) as error:
            raise PostError(f"{method} {path}: {error}") from None

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the items of all pages of a list."""
        for page in range(1, MAX_PAGES + 1):
            items = self.call("GET", f"{path}?per_page={PAGE}&page={page}")
            yield from items
            if len(items) < PAGE:
                return


def main(arguments: list[str]) -> int:
    """Write the comment, and return the exit code of the process."""
    if len(arguments) != 2 or arguments[0] not in _SERVERS:
        print("expected: post_comment.py github|gitlab COMMENT.md", file=sys.stderr)
        return 2
    kind, file = arguments
    text = Path(file).read_text(encoding="utf-8")
    marker = text.split("\n", 1)[0]
    if not MARKER.fullmatch(marker) or len(text) > MAX_COMMENT_CHARACTERS:
        print(f"{file} is not a comment that 'bitbudget compare --markdown' has written", file=sys.stderr)
        return 2
    try:
        _SERVERS[kind](marker, text)
    except PostError as error:
        print(f"the comment was not written: {error}", file=sys.stderr)
        return 1
    return 0


def _to_github(marker: str, text: str) -> None:
    server = Server(
        _setting("GITHUB_API_URL"),
        {
            "Authorization": f"Bearer {_setting('COMMENT_TOKEN')}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    repository, sha = _setting("GITHUB_REPOSITORY"), _setting("HEAD_SHA")
    head = quote(f"{_setting('HEAD_OWNER')}:{_setting('HEAD_BRANCH')}", safe="")
    requests = server.call("GET", f"/repos/{repository}/pulls?state=open&head={head}")
    numbers = [int(request["number"]) for request in requests if request["head"]["sha"] == sha]
    if not numbers:
        print("no open pull request has this commit as its head: there is a newer commit, or the request is closed")
    for number in numbers:
        comments = f"/repos/{repository}/issues/{number}/comments"
        own = (each for each in server.pages(comments) if each["user"]["login"] == environ.get("COMMENT_AUTHOR"))
        found = next((each["id"] for each in own if _has_marker(each, marker)), None)
        if found is None:
            server.call("POST", comments, {"body": text})
        else:
            server.call("PATCH", f"/repos/{repository}/issues/comments/{int(found)}", {"body": text})
        print(f"the comment of pull request {number} is {'written' if found is None else 'updated'}")


def _to_gitlab(marker: str, text: str) -> None:
    if not environ.get("COMMENT_TOKEN"):
        print("there is no token, as in the pipeline of a fork: the comparison is in the log and in the artifacts")
        return
    server = Server(_setting("CI_API_V4_URL"), {"PRIVATE-TOKEN": _setting("COMMENT_TOKEN")})
    project, number = int(_setting("CI_MERGE_REQUEST_PROJECT_ID")), int(_setting("CI_MERGE_REQUEST_IID"))
    author = server.call("GET", "/user")["id"]
    notes = f"/projects/{project}/merge_requests/{number}/notes"
    own = (each for each in server.pages(notes) if each["author"]["id"] == author)
    found = next((each["id"] for each in own if _has_marker(each, marker)), None)
    if found is None:
        server.call("POST", notes, {"body": text})
    else:
        server.call("PUT", f"{notes}/{int(found)}", {"body": text})
    print(f"the comment of merge request {number} is {'written' if found is None else 'updated'}")


def _has_marker(comment: dict[str, Any], marker: str) -> bool:
    lines = (comment["body"] or "").splitlines()
    return bool(lines) and lines[0] == marker


def _setting(name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise PostError(f"the environment variable {name} is empty")
    return value


_SERVERS: Final = {"github": _to_github, "gitlab": _to_gitlab}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
