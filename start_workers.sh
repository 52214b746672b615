#!/bin/sh
# Redis, unless it is running, and workers in the foreground: ./start_workers.sh [--workers 3]
exec python3 "$(dirname "$0")/run.py" up "$@"
