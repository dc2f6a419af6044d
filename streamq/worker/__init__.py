"""The worker: fetch, run, settle, one stage a module."""

from streamq.handlers.table import Handlers
from streamq.worker.settings import Settings
from streamq.worker.worker import Subscription, Worker, check_found, weighted

__all__ = ["Handlers", "Settings", "Subscription", "Worker", "check_found", "weighted"]
