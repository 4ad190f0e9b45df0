"""Stage evaluate: ranked lists and truth in, per-user values, intervals and records out. No models here."""
