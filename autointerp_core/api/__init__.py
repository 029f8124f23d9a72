"""The HTTP API: everything may be read, proposals and scores may be added with a token."""
