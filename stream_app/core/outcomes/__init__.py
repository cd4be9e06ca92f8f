"""The outcome of a graphlet, when it is announced as a label, and the class of its compute in the ledger."""
