"""The parts the pipeline is made of; `docs/architecture.md` says which package may import which."""
