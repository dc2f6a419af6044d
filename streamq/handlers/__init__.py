"""Handlers: what to call for a job, with which arguments."""
