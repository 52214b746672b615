"""Tasks of a run whose images stay at the sites: scoring, recording, the final test."""
