"""The only gates to the lake: one writer, one hardened reader, one way in for records."""
