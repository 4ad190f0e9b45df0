"""Stage tune: texts, labels and a checkpoint in; a tuned checkpoint or adapter out."""
