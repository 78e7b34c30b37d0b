# The HTTP API and the page on a CPU. Nothing is downloaded when it runs; models are mounted, not built in.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/emobraid
WORKDIR /build
# what changes seldom comes first, so that it is fetched seldom
COPY requirements-hashed.txt ./
# torch without CUDA comes from its own index, at the locked version; everything else must be the very file that was locked
RUN /opt/emobraid/bin/pip install --no-deps --index-url https://download.pytorch.org/whl/cpu \
    "$(grep -o '^torch==[^ ]*' requirements-hashed.txt)"
RUN /opt/emobraid/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements-hashed.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/emobraid/bin/pip install --no-deps .

FROM python:3.11-slim
COPY --from=build /opt/emobraid /opt/emobraid
# no name, no home, no shell: it reads /models and writes nothing but /tmp, which compose.yaml keeps in memory
USER 10001:10001
ENV PATH=/opt/emobraid/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 GRADIO_ANALYTICS_ENABLED=False \
    HOME=/tmp XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=90s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
# reachable from outside the container, so it starts only with EMOBRAID_TOKEN set
ENTRYPOINT ["emobraid", "serve", "--host", "0.0.0.0"]
CMD ["--model_path", "/models/best_model"]
