"""Quality of the predictions, and what budgets buy."""
