"""The workflow: studies of what systems assemble into, from simulation to pictures."""
