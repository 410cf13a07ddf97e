"""How networks of the studies and the shipped models learn."""
