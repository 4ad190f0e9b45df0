"""One thread inside, the old number afterwards."""

import pytest
import torch

from recutils.model.threads import one_thread


def test_threads_come_back_even_after_a_fault():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
