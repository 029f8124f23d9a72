"""What scripts and agents may ask of this installation: the same for the HTTP API and for MCP.

It reads studies, and it may add proposals and scores. Nothing here accepts, overrides or deletes.
"""
