"""From facts to members: how events are merged, which versions they name, which executions a graphlet has."""
