"""Any program as a handler."""
