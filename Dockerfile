# Two images: `docker build --target gateway .` and `docker build --target monitor .`
#
# The gateway's has neither river nor scikit-learn. Both have onnxruntime, because it is a dependency of the
# core; the monitor never loads it. PYTHON_IMAGE may name a digest (python@sha256:…), and where gateway.lock
# and monitor.lock lie beside this file, every archive must have the digest they give (docs/deploying.md says
# how both are made). Otherwise constraints.txt pins the versions.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE *.lock ./
RUN ["python", "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", "--upgrade", "pip"]
COPY driftgate ./driftgate
COPY gateway ./gateway
COPY groundwork ./groundwork
COPY monitor ./monitor
COPY prediction_log ./prediction_log
COPY registry_client ./registry_client
COPY rollouts ./rollouts
RUN ["python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "/own", "."]

FROM source AS gateway-wheels
RUN if [ -f gateway.lock ]; \
    then python -m pip download --quiet --require-hashes --no-deps --dest /wheels --requirement gateway.lock \
      && cp /own/*.whl /wheels; \
    else python -m pip wheel --quiet --constraint constraints.txt --wheel-dir /wheels "$(ls /own/*.whl)[grpc]"; \
    fi
RUN python -m venv --without-pip /opt/driftgate \
    && python -m pip --python /opt/driftgate/bin/python install --quiet --no-index --no-deps /wheels/*.whl

FROM source AS monitor-wheels
RUN if [ -f monitor.lock ]; \
    then python -m pip download --quiet --require-hashes --no-deps --dest /wheels --requirement monitor.lock \
      && cp /own/*.whl /wheels; \
    else python -m pip wheel --quiet --constraint constraints.txt --wheel-dir /wheels "$(ls /own/*.whl)[monitor]"; \
    fi
RUN python -m venv --without-pip /opt/driftgate \
    && python -m pip --python /opt/driftgate/bin/python install --quiet --no-index --no-deps /wheels/*.whl

# What both images share. No init is needed: the program that is started reaps its own children and has no
# others. State goes to /var/lib/driftgate; the rest of the file system may be read-only, but for /tmp.
FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/driftgate/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DRIFTGATE_DATA=/var/lib/driftgate \
    DRIFTGATE_MODELS=/models
RUN groupadd --gid 10001 driftgate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin driftgate \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/driftgate \
    && install -d -m 0755 /models
WORKDIR /var/lib/driftgate
STOPSIGNAL SIGTERM

FROM runtime AS gateway
COPY --from=gateway-wheels /opt/driftgate /opt/driftgate
# The operator port stays on the container's loopback.
ENV DRIFTGATE_HTTP_HOST=0.0.0.0 \
    DRIFTGATE_GRPC_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8080 8082
# Asks where and as the DRIFTGATE_ variables say, by TLS too; docs/deploying.md says how with a settings file.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["driftgate", "doctor", "--probe", "gateway"]
ENTRYPOINT ["driftgate"]
CMD ["serve"]

FROM runtime AS monitor
COPY --from=monitor-wheels /opt/driftgate /opt/driftgate
USER 10001:10001
EXPOSE 8090
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=4 \
    CMD ["driftgate", "doctor", "--probe", "monitor"]
ENTRYPOINT ["driftgate"]
CMD ["monitor"]
