"""What the studies of ``project.py`` are made of.

Packages import one way, each only from those before it:

``flow``
    Studies and their state points, jobs, conditions, clusters, and how steps are run.
``simulation``
    What is simulated, on which engine, and hot crystals of known structure.
``solids``
    What a simulated solid is, by methods without learning.
``training``
    How networks of the studies and the shipped models learn.
``comparison``
    How good labels, embeddings and orientations are, as numbers.
``reports``
    Figures, Markdown tables and summaries of results.
``operations``
    Operations of the workflow, one module for each kind of job.
"""
