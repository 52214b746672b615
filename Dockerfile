# One image for workers and orchestrator; docker-compose.yml starts both.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 HOME=/tmp

WORKDIR /app
COPY requirements.txt requirements-demo.txt requirements.lock ./
RUN pip install --disable-pip-version-check -r requirements.txt -r requirements-demo.txt \
        -c requirements.lock

COPY . .
RUN useradd --uid 1000 --no-create-home trainer \
    && mkdir -p preprocessed metrics models \
    && chown trainer preprocessed metrics models
USER trainer

CMD ["celery", "--app=celery_app", "worker", "--pool=solo", "--loglevel=info", "--hostname=worker@%h"]
