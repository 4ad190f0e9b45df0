"""What an encoder knows without being tuned for a question: its pooled vectors, read by a logistic regression."""

import numpy as np
import torch

from recutils.model.threads import one_thread
from recutils.tune.gates import Shared
from recutils.tune.states import BATCH_TOKENS, States, by_length


def pooled(shared: Shared, name: str, states: States) -> np.ndarray:
    """What a scenario's trunk makes of texts, one row each (n, 2 d) float32, before any head."""
    shared.eval()
    rows, found = [], []
    with torch.inference_mode(), one_thread():
        for batch in by_length(states.lengths, BATCH_TOKENS):
            found.append(shared.pooled(name, *states.batch(batch)).numpy())
            rows.append(batch)
    return np.concatenate(found)[np.argsort(np.concatenate(rows))]


def probe(train: np.ndarray, labels: np.ndarray, asked: np.ndarray, *, n_classes: int = 2) -> np.ndarray:
    """Probabilities (m, n_classes) by logistic regression on pooled vectors: what an encoder knows without tuning.

    Its strength (C of .0003 to .1) is chosen by cross-validation among the training rows alone.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chain = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=1000))
    least = int(np.bincount(labels)[np.bincount(labels) > 0].min())
    if least >= 2:
        grid = {"logisticregression__C": [0.0003, 0.001, 0.003, 0.01, 0.1]}
        folds = StratifiedKFold(min(5, least), shuffle=True, random_state=0)
        chain = GridSearchCV(chain, grid, scoring="neg_log_loss", cv=folds)
    chain.fit(train, labels)
    found = np.zeros((len(asked), n_classes))
    found[:, chain.classes_] = chain.predict_proba(asked)
    return found
