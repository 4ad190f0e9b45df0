"""Stage report: notebooks and a profile in, executed reports out. It knows notebooks, not models."""
