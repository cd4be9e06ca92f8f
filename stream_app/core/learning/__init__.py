"""The learner, a fold over the examples log: models, calibration, drift, prequential metrics."""
