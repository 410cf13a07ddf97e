"""Adapters to HOOMD-blue, OpenMM and OVITO; each imports its own package alone."""
