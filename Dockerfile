# segbench as a server, on a CPU; docs/howto/docker.md says how it is built and run.
#   docker build -t segbench-serve .
#   docker build -t segbench-serve:cuda --build-arg TORCH_BACKEND=cu130 .
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
# `cpu`, or a version of CUDA such as `cu130`, whose libraries come with PyTorch; empty: what the package index has.
ARG TORCH_BACKEND=cpu
ENV VIRTUAL_ENV=/opt/segbench UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
RUN pip install --no-cache-dir "uv>=0.9,<1" && uv venv /opt/segbench
WORKDIR /build
# A layer of its own, so that a change of the code does not bring PyTorch again.
COPY pyproject.toml ./
RUN uv pip install ${TORCH_BACKEND:+--torch-backend "${TORCH_BACKEND}"} -r pyproject.toml \
    --extra serve --extra onnx --extra geo
COPY README.md LICENSE ./
COPY src src
RUN uv pip install --no-deps .

FROM python:${PYTHON}-slim
# rasterio needs libexpat.
RUN apt-get update && apt-get install -y --no-install-recommends libexpat1 && rm -rf /var/lib/apt/lists/*
# /jobs belongs to the user, and so does a new volume that is put there.
RUN groupadd --gid 10001 segbench \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin segbench \
    && install -d -m 700 -o segbench -g segbench /jobs
COPY --from=build /opt/segbench /opt/segbench
# Nothing is written but below /tmp and /jobs, so that the rest may be read-only.
ENV PATH=/opt/segbench/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SEGBENCH_CACHE=/tmp/segbench MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# Others can reach the port, so that a token is needed: SEGBENCH_TOKEN, or --token-file with a secret.
ENTRYPOINT ["segbench", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--help"]
