"""Operations of the workflow, one module for each kind of job; ``summary`` imports them all."""
