"""Stage deploy: a fitted pipeline in; lists, bundles and services out. No model and no metric is defined here."""
