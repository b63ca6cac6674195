import os
from pathlib import Path

import pytest

try:
    import ray.data  # noqa: F401
except ImportError:  # without the extra [ray]; a conftest cannot skip
    collect_ignore_glob = ["test_ray_*.py"]


@pytest.fixture(scope="session")
def one_ray():
    """One Ray for many jobs; starting one takes seconds."""
    import ray

    from bindplug.ray import cluster

    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))  # of Ray's processes: the stand-in
        cluster._start(2, "cpu")
    yield
    ray.shutdown()
