"""MLflow: one run a stage, an outbox for a server that is away, a team's server."""
