"""Stage trust: what must not be shown, and why something was shown. It looks at every stage and trains nothing."""
