"""Operations of the workflow, one module a kind of job."""
