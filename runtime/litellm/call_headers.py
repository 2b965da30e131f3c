"""LiteLLM's hook that tells the recorder whose call it is (`litellm_settings.callbacks`).

LiteLLM forwards no header of a client by itself; its setting that does would forward all that begin
with `x-`. This sends exactly those by which the recorder names the trial, and a mark that LiteLLM's
retries of one call have in common. The key of a trial names it, and nothing that the client says
then counts. The Anthropic surface has the session in `metadata.user_id`, which LiteLLM sends to no
server of vLLM's.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import UserAPIKeyAuth

CALL_HEADER = "x-swe-rl-call"
PATH_HEADER = "x-trajectory-output-path"
TRIAL_HEADERS = (PATH_HEADER, "x-claude-code-session-id", "x-session-id")

TRIAL = "swe-rl-trial"
"""Where sandbox_auth.py puts the trial of a key."""

SESSION = re.compile(r'(?:_session_|"session_id": ?")([A-Za-z0-9-]{1,64})')
"""In `metadata.user_id`: `user_..._account__session_<uuid>`, or JSON with a `session_id`."""


def headers_for(data: dict[str, Any], trial: str | None = None) -> dict[str, str]:
    """Headers of a call to the recorder.

    `data`: the request as LiteLLM has parsed it. `trial`: the one whose key the call has.
    """
    mark = {CALL_HEADER: uuid.uuid4().hex}
    if trial is not None:
        return {PATH_HEADER: trial, **mark}
    request = data.get("proxy_server_request") or {}
    sent = {name.lower(): value for name, value in (request.get("headers") or {}).items()}
    headers = {name: sent[name] for name in TRIAL_HEADERS if name in sent}
    metadata = data.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    session = SESSION.search(user) if isinstance(user, str) else None
    if session and not headers:
        headers["x-session-id"] = session[1]
    return {**headers, **mark}


class CallHeaders(CustomLogger):  # type: ignore[misc]
    async def async_pre_call_hook(
        self, user_api_key_dict: UserAPIKeyAuth, cache: object, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Once for each call of a client, before LiteLLM chooses a server."""
        # A client could name headers in its body as well.
        data.pop("extra_headers", None)
        data["headers"] = headers_for(data, user_api_key_dict.metadata.get(TRIAL))
        return data


hook = CallHeaders()
