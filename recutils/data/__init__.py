"""Stage data: pinned files in, interactions, items and splits out. No models here."""
