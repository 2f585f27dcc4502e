"""Language-model agents. Nothing here yet; the first release has `baselines` only."""
