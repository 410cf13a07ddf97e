"""Jobs and studies, on this machine and on clusters."""
