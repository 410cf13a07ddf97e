"""Studies and their state points, jobs, conditions, clusters, and how steps are run."""
