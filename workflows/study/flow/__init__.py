"""Studies and their state points, jobs, conditions, and clusters."""
