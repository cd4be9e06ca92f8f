"""The sidecar beside a training: takes its events, keeps them on disk until they are delivered, and answers at once.

It never fails or delays the training: whatever goes wrong here, the training goes on as if it were alone. It imports
neither the detector nor the service, so that it stays small.
"""
