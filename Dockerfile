# exuvia's image: a wheel and its pinned packages in a virtual environment, on a plain Python image.
# It runs as a numeric user, writes only below /var/lib/exuvia, and works with a read-only root file system.

ARG PYTHON=python:3.11-slim

# The wheel. The build backend comes from the hashed lock file, so that no build fetches anything unpinned.
FROM ${PYTHON} AS wheel
WORKDIR /src
COPY requirements-dev.lock ./
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
RUN python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /dist .

# The virtual environment: exactly the locked packages, and the wheel.
FROM ${PYTHON} AS packages
COPY requirements.lock /tmp/
RUN python -m venv /opt/exuvia \
    && /opt/exuvia/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/requirements.lock
COPY --from=wheel /dist/*.whl /dist/
RUN /opt/exuvia/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps /dist/*.whl \
    && /opt/exuvia/bin/python -m compileall -q /opt/exuvia/lib \
    && /opt/exuvia/bin/pip uninstall --yes --quiet pip

FROM ${PYTHON}
LABEL org.opencontainers.image.title="exuvia" \
      org.opencontainers.image.description="Keeps the machines of a Kubernetes cluster short-lived, clean and accounted for" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/exuvia /opt/exuvia
# Ledger and evidence; a volume is mounted over it. The mode lets a pod's own fsGroup be another.
RUN install --directory --owner=65532 --group=65532 --mode=0770 /var/lib/exuvia
ENV PATH=/opt/exuvia/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/var/lib/exuvia
WORKDIR /var/lib/exuvia
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["exuvia"]
CMD ["run"]
