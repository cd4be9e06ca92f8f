"""Workers on a real broker: catching up, scaling, recovery, memory."""
