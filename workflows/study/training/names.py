"""Names of the files that trainings leave in a job's folder, for each other and for operations."""

#: The network that names structures, and its card.
MODEL, MODEL_CARD = "structures.safetensors", "structures.json"

#: Samples of a part of the data.
SAMPLES = "samples.npz"

#: Of the shipped model's first stage: local environments, unit cells without a name, and the
#: network that distinguishes local environments.
KINDS, OTHERS, SITES = "kinds.json", "others.gsd", "sites.safetensors"

#: Of the smaller network that learns from the shipped one: both stages.
FAST_SITES, FAST_MODEL = "fast-sites.safetensors", "structures-fast.safetensors"

#: The network that distinguishes the frames of a trajectory.
FRAME_MODEL = "frames.safetensors"

#: The core of a source task.
SOURCE_MODEL = "source.safetensors"

#: What a training continues from, and its learning curve; with a name before it where a folder has
#: several trainings.
CHECKPOINT, CURVE = "checkpoint.pt", "learning_curve.csv"
FRAME_CHECKPOINT, FRAME_CURVE = f"frames_{CHECKPOINT}", f"frames_{CURVE}"

#: Of the model of compounds: names of environments, the model, and its card and table.
DECORATIONS, COMPOUNDS = "decorations.json", "compounds.safetensors"
COMPOUNDS_CARD, COMPOUNDS_TEXT = "compounds.json", "compounds.md"
#: Its accuracy by structure, the summary of that, and by simulated crystal.
COMPOUNDS_TABLE, COMPOUNDS_MEANS = "accuracy.csv", "criteria.csv"

#: The network that takes thermal displacements out of positions, and its card.
DENOISER, DENOISER_CARD = "denoise.safetensors", "denoise.json"
#: The card as people read it.
DENOISER_TEXT = "denoise.md"
#: What template matching finds before and after.
DENOISE_TABLE = "denoising.csv"

#: The network whose purpose is its embedding, and its card.
EMBEDDING, EMBEDDING_CARD = "embedding.safetensors", "embedding.json"
#: The card as people read it.
EMBEDDING_TEXT = "embedding.md"
#: Representations of environments side by side.
REPRESENTATIONS, REPRESENTATIONS_TEXT = "representations.csv", "representations.md"
REPRESENTATIONS_FIGURE = "representations.png"
