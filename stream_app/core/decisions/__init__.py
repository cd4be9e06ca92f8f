"""From a stage that is reached to a verdict: stages, policy, verdicts."""
