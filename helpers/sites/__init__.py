"""What protects sites: their policy and audit log, keys and certificates, sealed messages."""
