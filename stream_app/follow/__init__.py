"""Following a store or a tracking server live: what changes there is sent on, pass by pass."""
