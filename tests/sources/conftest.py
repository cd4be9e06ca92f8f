"""No test tells anybody that it ran: MLflow asks for this before it is imported."""

from __future__ import annotations

import os

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
