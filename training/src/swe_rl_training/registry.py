"""Whether images are in their registries, by the registries' own API (OCI distribution specification 1.1)."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)

AT_ONCE = 16
"""Requests at the same time: public registries answer 429 to more."""


@dataclass(frozen=True)
class Reference:
    """An image's name, taken apart as Docker does it."""

    registry: str
    repository: str
    version: str
    """A tag or a digest."""

    @classmethod
    def of(cls, image: str) -> Reference:
        """Raises ValueError."""
        name, _, digest = image.partition("@")
        first, slash, rest = name.partition("/")
        is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
        registry, path = (first, rest) if is_host else ("docker.io", name)
        repository, colon, tag = path.rpartition(":")
        if not colon:
            repository, tag = path, "latest"
        if registry == "docker.io" and "/" not in repository:
            repository = f"library/{repository}"
        if not re.fullmatch(r"[a-z0-9]+([._/-]+[a-z0-9]+)*", repository):
            raise ValueError(f"{image!r} is no name of an image")
        return cls(registry, repository, digest or tag)

    @property
    def url(self) -> str:
        host = "registry-1.docker.io" if self.registry == "docker.io" else self.registry
        is_local = host.split(":")[0] in ("localhost", "127.0.0.1")
        return f"{'http' if is_local else 'https'}://{host}/v2/{self.repository}/manifests/{self.version}"


@dataclass(frozen=True)
class Found:
    digest: str | None
    """None: it is not there, or nobody can say."""
    why: str | None = None
    is_missing: bool = False
    """Whether the registry itself says that there is no such image."""


@dataclass
class Registries:
    """Looks images up, each once. `credentials`: Docker's `config.json`."""

    credentials: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 20.0
    """Seconds for one request."""

    def __post_init__(self) -> None:
        self._client = httpx.Client(timeout=self.timeout, follow_redirects=True)
        self._tokens: dict[tuple[str, str], str] = {}

    @classmethod
    def of_user(cls) -> Registries:
        """With the credentials of `docker login`, if there are any."""
        folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
        try:
            return cls(json.loads((folder / "config.json").read_text()))
        except (OSError, ValueError):
            return cls()

    def look_up(self, images: set[str]) -> dict[str, Found]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(sorted(images), pool.map(self._find, sorted(images)), strict=True))

    def _find(self, image: str) -> Found:
        try:
            reference = Reference.of(image)
            answer = self._head(reference)
        except (ValueError, httpx.HTTPError) as error:
            return Found(None, f"{type(error).__name__}: {error}")
        if answer.status_code == 200:
            return Found(answer.headers.get("docker-content-digest", reference.version))
        # Who is not let in learns nothing; Docker Hub also says 401 of a repository that is not there.
        is_missing = answer.status_code == 404
        return Found(None, f"{reference.registry} answers {answer.status_code}", is_missing)

    def _head(self, reference: Reference) -> httpx.Response:
        place = (reference.registry, reference.repository)
        headers = {"Accept": ACCEPTED}
        if place in self._tokens:
            headers["Authorization"] = self._tokens[place]
        answer = self._client.head(reference.url, headers=headers)
        if answer.status_code != 401 or place in self._tokens:
            return answer
        challenge = answer.headers.get("www-authenticate", "")
        authorization = self._authorization(reference, challenge)
        if authorization is None:
            return answer
        self._tokens[place] = authorization
        return self._client.head(reference.url, headers={**headers, "Authorization": authorization})

    def _authorization(self, reference: Reference, challenge: str) -> str | None:
        basic = self._basic(reference.registry)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            return basic
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if scheme.lower() != "bearer" or "realm" not in asked:
            return None
        query = {"service": asked.get("service", ""), "scope": f"repository:{reference.repository}:pull"}
        headers = {"Authorization": basic} if basic else {}
        answer = self._client.get(asked["realm"], params=query, headers=headers)
        if answer.status_code != 200:
            return None
        token = answer.json()
        return f"Bearer {token.get('token') or token.get('access_token')}"

    def _basic(self, registry: str) -> str | None:
        names = {registry, f"https://{registry}"}
        if registry == "docker.io":
            names |= {"https://index.docker.io/v1/", "index.docker.io"}
        for name, entry in (self.credentials.get("auths") or {}).items():
            if name.rstrip("/") in {one.rstrip("/") for one in names}:
                if entry.get("auth"):
                    return f"Basic {entry['auth']}"
                if entry.get("username"):
                    pair = f"{entry['username']}:{entry.get('password', '')}"
                    return f"Basic {base64.b64encode(pair.encode()).decode()}"
        return None
