"""The formats, one a file; each describes itself in ``FORMAT``."""
