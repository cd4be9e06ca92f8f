"""From facts to members: how events join, which versions they name, who belongs to a graphlet."""
