FROM python:3.13-slim

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY streamq ./streamq
RUN pip install --no-cache-dir . && rm -rf /build

# Handlers go here: mount them, or copy them in an image built on this one, and name them
# with --app module:name.
WORKDIR /app
ENV PYTHONPATH=/app

RUN useradd --create-home --uid 10001 streamq
USER streamq

EXPOSE 8000
ENTRYPOINT ["streamq"]
CMD ["consume", "--group", "default", "--metrics-host", "0.0.0.0"]
