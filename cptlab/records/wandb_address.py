"""Whether a W&B server answers at its address, found out in seconds: its own client tries for a minute and a half."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

PATIENCE = 5.0  # [s]


def why_silent(address: str, patience: float = PATIENCE) -> str:
    """Why nothing answers there; "" if something does, whatever it says."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=patience).close()
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):  # the client has certificates of its own
            return ""
        return str(getattr(reason, "strerror", None) or reason)
    return ""
