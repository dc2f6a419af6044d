"""The group of this service."""

from streamq import Group

audit = Group("audit")

lines: list[str] = []
