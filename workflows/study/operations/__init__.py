"""Operations of the workflow, one module for each kind of job; :mod:`summary` imports them all."""
