"""Attacks on a site's images by whoever can deliver an order, and what they recover (docs/security.md)."""
