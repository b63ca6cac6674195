# syntax=docker/dockerfile:1
# bindplug serve in a container.
#   docker build -t bindplug .
#   docker run --gpus all -e BINDPLUG_TOKEN -p 127.0.0.1:8000:8000 -v weights:/weights bindplug
# Without --gpus it runs on the CPU. PyTorch as the package index has it works on both; TORCH_INDEX
# takes another build: the address that pytorch.org, "Get started", gives for CPU (several GB
# smaller) or for a version of CUDA:
#   docker build -t bindplug --build-arg TORCH_INDEX=... .
FROM python:3.12-slim AS build
ARG TORCH_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/bindplug
ENV PATH=/opt/bindplug/bin:$PATH
RUN pip install torch torchvision ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
WORKDIR /source
COPY . .
RUN pip install ".[serve]"

FROM python:3.12-slim
ENV PATH=/opt/bindplug/bin:$PATH BINDPLUG_HOME=/weights HF_HOME=/weights/hub
COPY --from=build /opt/bindplug /opt/bindplug
RUN useradd --create-home bindplug && mkdir /weights && chown bindplug /weights
USER bindplug
WORKDIR /home/bindplug
VOLUME /weights
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# Reachable from outside the container: set BINDPLUG_TOKEN, and publish the port to where you need it.
ENTRYPOINT ["bindplug", "serve", "--host", "0.0.0.0", "--port", "8000"]
