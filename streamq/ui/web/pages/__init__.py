"""The pages of the dashboard, a module each: ``show`` answers a request."""
