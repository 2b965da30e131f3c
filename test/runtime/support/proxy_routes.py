"""Prints every route of LiteLLM's application, with those that load at their first request.

As JSON: [[method, or "WEBSOCKET", or "MOUNT", path], ...].
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


def walk(routes: Any) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from walk(route.effective_candidates())
        elif methods := getattr(route, "methods", None):
            yield from ((method, route.path) for method in methods)
        elif type(route).__name__ == "Mount":
            yield "MOUNT", route.path
        else:
            yield "WEBSOCKET", route.path


def main() -> None:
    with contextlib.redirect_stdout(sys.stderr):
        from litellm.proxy._lazy_features import register_all_features
        from litellm.proxy.proxy_server import app

        register_all_features(app)
    json.dump(sorted(set(walk(app.routes))), sys.stdout)


if __name__ == "__main__":
    main()
