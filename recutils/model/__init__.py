"""Stage model: interactions in, scores (n_histories, n_items) out. No text encoders and no ranking here."""
