"""Readers of other tools' files, one a file: what they say becomes plain proposals and scores."""
