"""Stage rank: scores, seen items and k in, ranked lists out. No training here."""
