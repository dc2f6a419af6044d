"""OpenTelemetry: spans and metrics by the semantic conventions for messaging.

It needs the package ``opentelemetry-api``: ``pip install 'streamq[opentelemetry]'``. Nothing else
in streamq imports it.
"""

from __future__ import annotations

from streamq.errors import ConfigError

try:
    from streamq.observe.opentelemetry.instrumentation import OpenTelemetry
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    raise ConfigError(
        "tracing needs the package opentelemetry-api: pip install 'streamq[opentelemetry]'"
    ) from None

__all__ = ["OpenTelemetry"]
