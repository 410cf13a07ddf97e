"""How the models that come with hoomd-gala learn."""
