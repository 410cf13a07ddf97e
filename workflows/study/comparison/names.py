"""Names of files of a study that measures models; loads nothing: there are many short jobs."""

#: In the folder of a system: its samples, and their labels by all methods that are not ours.
SAMPLES, CLASSICAL = "samples.gsd", "labels-classical.npz"

#: The summary of a report.
REPORT = "quality.md"
