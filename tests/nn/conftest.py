import pytest
from torch.distributed import HashStore, destroy_process_group, init_process_group


@pytest.fixture
def process_group():
    """A group of this process alone."""
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    destroy_process_group()
