"""recutils: what language models do for recommender systems, shown on real data. Its folders are the stages."""

__version__ = "0.1.0"
