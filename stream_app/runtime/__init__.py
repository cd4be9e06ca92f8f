"""Services of the operating system and the interpreter: atomic file replacement, garbage collection, memory."""
