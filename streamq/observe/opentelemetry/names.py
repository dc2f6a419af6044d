"""The names of the semantic conventions for messaging, version 1.44, and ours beside them.

They are written out here: the package that has them is not stable, and is pinned to one version
of the SDK.
"""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

SYSTEM = "messaging.system"
DESTINATION = "messaging.destination.name"
GROUP = "messaging.consumer.group.name"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
MESSAGE_ID = "messaging.message.id"
MESSAGE_COUNT = "messaging.batch.message_count"
CLIENT_ID = "messaging.client.id"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

SENT = "messaging.client.sent.messages"
CONSUMED = "messaging.client.consumed.messages"
OPERATION_DURATION = "messaging.client.operation.duration"
PROCESS_DURATION = "messaging.process.duration"

JOB_TYPE = "messaging.streamq.type"
"""The job's type."""
ATTEMPT = "messaging.streamq.attempt"
"""Which attempt it is; 1 is the first."""
OUTCOME = "messaging.streamq.outcome"
"""What became of the attempt; see :mod:`streamq.observe.opentelemetry.outcome`."""
CREATED = "messaging.streamq.created"
"""Whether a produce with ``unique`` has written the job, and there was none before."""
LINK = "messaging.streamq.link"
"""Of a link that is not to where the job was produced: to what it is."""
