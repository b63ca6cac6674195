"""Small random pipelines of the real classes, one of each family."""

import pytest
from stand_ins import pipelines

WIDTH = 32


@pytest.fixture(scope="module")
def kandinsky():
    return pipelines.kandinsky(WIDTH)


@pytest.fixture(scope="module")
def adapted():
    """Stable Diffusion 1.5's classes with an IP-Adapter made of the UNet's own shapes."""
    return pipelines.add_ip_adapter(pipelines.stable_diffusion(), WIDTH)


@pytest.fixture(scope="module")
def variation():
    return pipelines.variation(WIDTH)


@pytest.fixture(scope="module")
def karlo():
    return pipelines.karlo(WIDTH)


@pytest.fixture(scope="module")
def cascade():
    return pipelines.cascade(WIDTH)


@pytest.fixture(scope="module")
def sdxl():
    """SDXL's classes with an IP-Adapter made of the UNet's own shapes."""
    return pipelines.add_ip_adapter(pipelines.sdxl(), WIDTH)


@pytest.fixture(scope="module")
def reader(sdxl):
    """A text-to-image pipeline that knows no embedding."""
    return pipelines.reader(sdxl.vae)
