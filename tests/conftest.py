"""What all tests share."""

from hypothesis import settings

# How long an example takes says something about the machine, not about what is tested.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
