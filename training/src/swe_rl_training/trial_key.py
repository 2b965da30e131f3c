"""A key of one trial, with which its sandbox calls the proxy.

`sk-<trial>.<mac>`: LiteLLM's hook (runtime/litellm/sandbox_auth.py) makes the same mac of the name,
so it knows whose call it is, whatever the agent sends, and no sandbox can call in the name of another.
"""

from __future__ import annotations

import hashlib
import hmac


def trial_key(proxy_key: str, trial: str) -> str:
    mac = hmac.digest(proxy_key.encode(), f"trial {trial}".encode(), hashlib.sha256).hex()
    return f"sk-{trial}.{mac}"
