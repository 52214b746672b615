"""The parts the pipeline is made of; `docs/architecture.md` says who may know whom."""
