"""Sources turn the bytes of a message into events of the core, one module a format."""
